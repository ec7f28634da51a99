"""Output of the demo: steps, colours where a terminal can show them, and checks."""

import os
import sys
import time

_COLOURS = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}


class Unexpected(Exception):
    """A claim that the demo prints is not true."""


class Terminal:
    def __init__(self, steps):
        self._steps, self._step = steps, 0
        self._started = time.monotonic()
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._passing = sys.stdout.isatty()

    def step(self, title):
        self._step += 1
        print(f"\n{self.paint('cyan', f'[{self._step}/{self._steps}]')} {self.paint('bold', title)}")

    def say(self, text=""):
        print("\n".join(f"  {line}" if line else "" for line in text.split("\n")), flush=True)

    def show(self, text, colour="dim"):
        """Prints a document, indented."""
        print("\n".join("      " + self.paint(colour, line) for line in text.split("\n")), flush=True)

    def working(self, text):
        """Shows progress on a line that the next output replaces; on a terminal only."""
        if self._passing:
            print(f"\r\033[K  {self.paint('dim', text + ' ...')}", end="\r", flush=True)

    def done(self, text):
        self.claim(text, True)

    def claim(self, text, holds):
        """Prints a claim with its result; raises `Unexpected` if the claim is not true."""
        if self._passing:
            print("\r\033[K", end="")
        mark = self.paint("green", "✓") if holds else self.paint("red", "✗")
        print(f"  {mark} {text}", flush=True)
        if not holds:
            raise Unexpected(text)

    def seconds(self):
        return time.monotonic() - self._started

    def paint(self, colour, text):
        return f"\033[{_COLOURS[colour]}m{text}\033[0m" if self._colour else text
