"""Chromium for tests of the pages. Skips them, with a reason, where there is none."""

import json
import shutil
import subprocess
import unittest

from npm_clients import install_clients
from support import ROOT, wait_for

SOURCES = ROOT / "tests/e2e/browser"


def find_chromium():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    raise unittest.SkipTest("needs Chromium (scripts/setup --browser installs it)")


class Browser:
    """One page, driven by pieces of JavaScript: tests/e2e/browser/browser.mjs says what they get."""

    def __init__(self, test, **setting):
        folder = install_clients(SOURCES)
        self.process = subprocess.Popen(
            ["node", "browser.mjs", find_chromium(), json.dumps(setting)], cwd=folder,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        test.addCleanup(self.close)

    def close(self):
        if self.process.stdin.closed:
            return
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def run(self, body):
        self.process.stdin.write(json.dumps({"run": body}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the browser has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise AssertionError(f"{body}: {answer['error']}")
        return answer["value"]

    def open(self, url):
        self.run(f"await page.goto({json.dumps(url)})")

    def text(self, selector):
        """Of the first such element; empty where there is none or it is hidden."""
        return self.run(f"const found = page.locator({json.dumps(selector)}).first();"
                        "return await found.count() && await found.isVisible() ? await found.innerText() : ''")

    def click(self, selector):
        self.run(f"await page.click({json.dumps(selector)})")

    def wait_for_text(self, selector, part):
        return wait_for(lambda: part in (text := self.text(selector)) and text, f"{part!r} at {selector}")

    def faults(self):
        """What the page complained of: scripts, its policy, requests that failed."""
        return self.run("return faults")
