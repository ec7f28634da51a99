import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import software.amazon.event.ruler.JsonRuleCompiler;
import software.amazon.event.ruler.Ruler;

/** Reads a pattern and an event from each line, with a tab between them, and prints Event Ruler's verdict. */
public class Verdicts {
    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] pair = line.split("\t");
            String problem = JsonRuleCompiler.check(pair[0]);
            if (problem != null) {
                out.println("refused");
            } else {
                out.println(Ruler.matchesRule(pair[1], pair[0]) ? "passes" : "fails");
            }
        }
    }
}
