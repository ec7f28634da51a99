"""A report in a headless Chromium: pictures of it, and what is wrong with it, as JSON.

    .tools/browser/bin/python scripts/browser.py CHROMIUM PAGE FOLDER [WIDTHxHEIGHT]

Writes PNGs of the whole page into FOLDER, at 390 and 1400 pixels, light and dark, and a PDF. With a size it writes one
PNG of the top of the page instead, `report.png`. One browser serves all. `scripts/install.py browser` installs what
this needs; Chromium is the machine's own.
"""

import json
import shutil
import sys
from pathlib import Path

WIDTHS = (390, 1400)
THEMES = ("light", "dark")
# Debian's names of it, and those of other systems.
CHROMIUM = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium():
    """The path of a Chromium on this machine; None where there is none."""
    return next((path for path in map(shutil.which, CHROMIUM) if path), None)


class Visit:
    """One opening of the page, with everything that the browser complains about."""

    def __init__(self, browser, page, **options):
        self.errors, self.requests = [], []
        self.context = browser.new_context(**options)
        self.tab = self.context.new_page()
        self.tab.on("console", lambda message: self.errors.append(f"{message.type}: {message.text}"))
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("dialog", lambda dialog: (self.errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.goto(page.as_uri())
        self.requests.remove(page.as_uri())


def look(browser, page, folder):
    from axe_playwright_python.sync_playwright import Axe

    found = {"pictures": {}, "errors": [], "requests": [], "violations": [], "overflow": {}}
    for theme in THEMES:
        for width in WIDTHS:
            visit = Visit(browser, page, viewport={"width": width, "height": 900}, color_scheme=theme)
            name = f"{theme}-{width}"
            picture = folder / f"{name}.png"
            visit.tab.screenshot(path=picture, full_page=True)
            found["pictures"][name] = str(picture)
            found["overflow"][name] = visit.tab.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth")
            for violation in Axe().run(visit.tab).response["violations"]:
                found["violations"].append({
                    "in": name, "rule": violation["id"], "at": [node["target"] for node in violation["nodes"]][:5]})
            found["errors"] += visit.errors
            found["requests"] += visit.requests
            visit.context.close()
    plain = Visit(browser, page, viewport={"width": 1400, "height": 900}, color_scheme="light", java_script_enabled=False)
    plain.tab.screenshot(path=folder / "without-javascript.png", full_page=True)
    without = (folder / "without-javascript.png").read_bytes()
    found["isSameWithoutJavaScript"] = without == Path(found["pictures"]["light-1400"]).read_bytes()
    plain.tab.pdf(path=folder / "report.pdf", format="A4", prefer_css_page_size=True)
    plain.context.close()
    found["printed"] = printed(folder / "report.pdf")
    return found


def printed(pdf):
    """The text of each page that is printed."""
    from pypdf import PdfReader

    return [page.extract_text() for page in PdfReader(pdf).pages]


def main(chromium_path, page, folder, size=None):
    from playwright.sync_api import sync_playwright

    page, folder = Path(page).resolve(), Path(folder)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path)
        if size is None:
            print(json.dumps(look(browser, page, folder)))
        else:
            width, height = map(int, size.split("x"))
            visit = Visit(browser, page, viewport={"width": width, "height": height}, color_scheme="light")
            visit.tab.screenshot(path=folder / "report.png")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
