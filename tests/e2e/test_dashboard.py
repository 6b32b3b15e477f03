"""The dashboard and the chat page in a real browser, over a real pool."""

import http.client
import json
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from browser_support import Browser, find_chromium  # noqa: E402
from npm_clients import ClientTest  # noqa: E402
from pool_support import PoolTest  # noqa: E402
from support import wait_for  # noqa: E402

SCHEMES = ("light", "dark")


def card(name):
    return f".device:has(h3:text-is('{name}'))"


class Dashboard(PoolTest):
    def open_pool(self, *arguments):
        server, out, err = self.serve(*arguments)
        url = err.wait_for(r"in a browser: (http://\S+)/\n").group(1)
        return server, out, err, url

    def ask_api(self, url, method, path, body=None, **headers):
        host = url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=30)
        self.addCleanup(connection.close)
        if body is not None:
            headers = {"Content-Type": "application/json", **headers}
        connection.request(method, path, body and json.dumps(body), headers)
        response = connection.getresponse()
        return response, response.read()

    def assert_no_faults(self, browser):
        self.assertEqual(browser.faults(), [])
        self.assertEqual(browser.run("return await check()"), [])

    def test_devices_join_work_and_are_lost(self):
        _, out, _, url = self.open_pool()
        browser = Browser(self, colorScheme="dark")
        browser.open(url)
        browser.wait_for_text("#empty", "No device has joined yet")
        self.assert_no_faults(browser)
        token = self.next_token(out)
        first, _ = self.join(token, "a", "--ram", "64MiB", "--name", "attic")
        browser.wait_for_text(card("attic"), "Ready")
        self.assertEqual(browser.text("#empty"), "")
        # The next one by an invitation of the page itself.
        browser.click("#invite-button")
        browser.click("#invite-dialog >> text=Make an invitation")
        line = browser.wait_for_text("#invite-dialog .command:has-text('potluck join ') >> nth=1", "potluck join ")
        self.assertGreater(browser.run("return await page.locator('canvas.qr').evaluate((c) => c.width)"), 20)
        self.assert_no_faults(browser)
        browser.click("#invite-dialog >> text=Close")
        self.join(line.split("potluck join ")[1].split()[0].strip(), "b", "--ram", "64MiB", "--name", "cellar")
        browser.wait_for_text(card("cellar"), "Ready")
        browser.wait_for_text("#events", "joined")
        # The map, by keyboard and as a table.
        browser.run("await page.focus('#map'); await page.keyboard.press('ArrowRight')")
        self.assertRegex(browser.wait_for_text("#map-said", "Layer"), r"expert 0: on (attic|cellar) ")
        self.assert_no_faults(browser)
        first.send_signal(signal.SIGKILL)
        browser.wait_for_text(card("attic"), "Away")
        browser.wait_for_text("#counts div:has-text('Devices lost') dd", "1")
        browser.wait_for_text(card("cellar"), "100 % of the work")
        self.assert_no_faults(browser)

    def test_a_device_is_admitted_named_and_removed_by_buttons(self):
        _, _, _, url = self.open_pool("--invitations", "0")
        browser = Browser(self, viewport={"width": 360, "height": 740})
        browser.open(url)
        worker, worker_err = self.join(None, "a", "--ram", "64MiB", "--name", "phone")
        code = worker_err.wait_for(r"the code is (\d{4}-\d{4}): ").group(1)
        browser.wait_for_text("#asking", code)
        self.assert_no_faults(browser)
        width = browser.run("return await page.evaluate(() => document.documentElement.scrollWidth)")
        self.assertLessEqual(width, 360)
        browser.click("#asking button.primary")
        browser.wait_for_text(card("phone"), "Ready")
        self.assertEqual(browser.text("#asking"), "")
        browser.click(f"{card('phone')} >> text=Manage")
        browser.run("await page.fill('#device-name', 'kitchen'); await page.click('#device-dialog >> text=Rename')")
        browser.wait_for_text(card("kitchen"), "Ready")
        browser.click(f"{card('kitchen')} >> text=Manage")
        self.assert_no_faults(browser)
        browser.run("await page.check('#device-sure'); await page.click('#device-dialog >> text=Remove from the pool')")
        self.assertEqual(worker.wait(60), 1)
        worker_err.wait_for("this device's key was revoked")
        browser.wait_for_text("#empty", "No device has joined yet")
        # Turned away.
        other, other_err = self.join(None, "b", "--ram", "64MiB", "--name", "stranger")
        other_err.wait_for("the code is")
        browser.wait_for_text("#asking", "stranger")
        browser.click("#asking >> text=Turn away")
        self.assertEqual(other.wait(60), 1)
        other_err.wait_for("does not admit this device: its owner turned this device away")
        self.assertEqual(browser.faults(), [])

    def test_a_key_is_asked_for(self):
        key = self.potluck("keys", "add", "ann").stdout.strip()
        _, _, _, url = self.open_pool()
        browser = Browser(self)
        browser.open(url)
        browser.wait_for_text("#key-dialog", "needs a key")
        browser.run("await page.fill('#key-field', 'wrong'); await page.click('text=Use it')")
        browser.wait_for_text("#key-note", "does not know that key")
        browser.run(f"await page.fill('#key-field', '{key}'); await page.click('text=Use it')")
        browser.wait_for_text("#empty", "No device has joined yet")
        response, _ = self.ask_api(url, "GET", "/api/pool")
        self.assertEqual(response.status, 401)

    def test_only_the_dashboard_of_this_machine_may_ask(self):
        server, _, err, url = self.open_pool()
        response, body = self.ask_api(url, "GET", "/")
        self.assertIn(b"<title>Potluck", body)
        self.assertIn("default-src 'none'", response.headers["Content-Security-Policy"])
        again, body = self.ask_api(url, "GET", "/", **{"If-None-Match": response.headers["ETag"]})
        self.assertEqual((again.status, body), (304, b""))
        self.assertEqual(self.ask_api(url, "GET", "/api/pool")[0].status, 200)
        for headers in ({"Host": "rebound.example.org"}, {"Origin": "https://example.org"},
                        {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            with self.subTest(headers):
                self.assertEqual(self.ask_api(url, "GET", "/api/pool", **headers)[0].status, 403)
                self.assertEqual(self.ask_api(url, "POST", "/api/pool/invite", {}, **headers)[0].status, 403)
        # A page that watches does not keep the server from ending.
        host = url.removeprefix("http://")
        watching = http.client.HTTPConnection(host, timeout=30)
        self.addCleanup(watching.close)
        watching.request("GET", "/api/pool/events")
        self.assertTrue(watching.getresponse().readline().startswith(b"data: "))
        server.terminate()
        server.wait(60)
        self.assertNotIn("requests were cut off", err.text)

    def test_there_may_be_no_dashboard(self):
        server, _, err = self.serve("--no-dashboard")
        url = err.wait_for(r"listening on (http://\S+)/v1\n").group(1)
        for path in ("/", "/chat", "/api/pool"):
            self.assertEqual(self.ask_api(url, "GET", path)[0].status, 404)
        self.assertNotIn("in a browser", err.text)


class Chat(ClientTest):
    """The chat page over scripted answers."""

    @classmethod
    def setUpClass(cls):
        pass  # no other clients than the browser

    def open_chat(self, **setting):
        server, url = self.serve()
        browser = Browser(self, **setting)
        browser.open(url.removesuffix("/v1") + "/chat")
        return server, browser

    def say(self, browser, text):
        browser.run(f"await page.fill('#prompt', {json.dumps(text)}); await page.keyboard.press('Enter')")

    def check(self, browser):
        self.assertEqual(browser.faults(), [])
        self.assertEqual(browser.run("return await check()"), [])

    def test_a_chat_streams_and_is_kept(self):
        for scheme in SCHEMES:
            with self.subTest(scheme):
                _, browser = self.open_chat(colorScheme=scheme)
                self.check(browser)
                self.say(browser, "hello")
                browser.wait_for_text(".message.assistant .under", "Again")
                self.assertTrue(browser.text(".message.assistant .text"))
                self.check(browser)
                # Once more, then another text instead.
                browser.click("text=Again")
                browser.wait_for_text(".message.assistant .under", "Again")
                browser.click(".message.user >> text=Edit")
                browser.run("await page.fill('.edit textarea', 'something else'); await page.click('.edit >> text=Send')")
                browser.wait_for_text(".message.assistant .under", "Again")
                self.assertEqual(browser.text(".message.user .text"), "something else")
                browser.run("await page.reload()")
                browser.wait_for_text("#conversations", "something else")
                browser.click("#conversations .open")
                browser.wait_for_text(".message.user .text", "something else")
                browser.click("#conversations .remove")
                browser.wait_for_text("#conversations", "None yet")
                self.check(browser)

    def test_reasoning_is_folded_and_markup_stays_text(self):
        _, browser = self.open_chat(viewport={"width": 360, "height": 740})
        self.say(browser, "think")
        browser.wait_for_text(".reasoning summary", "Reasoning")
        browser.wait_for_text(".message.assistant .under", "Again")
        self.assertFalse(browser.run("return await page.locator('.reasoning div').isVisible()"))
        browser.click("text=New chat")
        hostile = "<img src=x onerror=alert(1)> **bold** [x](javascript:alert(1)) `a` <script>alert(1)</script>"
        self.say(browser, hostile)
        browser.wait_for_text(".message.assistant .under", "Again")
        self.assertIn("<img src=x", browser.text(".message.assistant .text"))
        self.assertEqual(browser.run("return await page.locator('.message img, .message script, .message a').count()"), 0)
        self.assertEqual(browser.run("return await page.locator('.message.assistant strong').count()"), 1)
        self.check(browser)

    def test_an_answer_can_be_stopped(self):
        server, browser = self.open_chat()
        self.say(browser, "forever")
        browser.wait_for_text(".message.assistant .text", "on")
        browser.click("#stop")
        browser.wait_for_text(".message.assistant .under", "stopped")
        self.assertEqual(browser.faults(), [])
        browser.close()
        self.assertEqual(self.cancelled(server), 1)


def setUpModule():
    find_chromium()


if __name__ == "__main__":
    unittest.main()
