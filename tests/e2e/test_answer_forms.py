"""Answers in a form that the request asks for: JSON of a schema, a grammar, required calls; the same
alone and over a pool."""

import json
import re
import unittest

from test_api import STORY, ApiTest, chat, events_of

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "kind": {"enum": ["fox", "horse", "bird"]},
        "age": {"type": "integer", "minimum": 1, "maximum": 99},
        "friends": {"type": "array", "items": {"type": "string", "pattern": "^[A-Z][a-z]{2,8}$"},
                    "minItems": 1, "maxItems": 3},
    },
    "required": ["name", "kind", "age", "friends"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {
    "name": "look", "description": "Looks at a thing",
    "parameters": {"type": "object", "properties": {
        "thing": {"type": "string", "maxLength": 12}, "times": {"type": "integer", "minimum": 0,
                                                                 "maximum": 20}},
        "required": ["thing", "times"], "additionalProperties": False}}}
WAIT = {"type": "function", "function": {"name": "wait", "parameters": {
    "type": "object", "properties": {"seconds": {"enum": [1, 2, 5]}}, "required": ["seconds"]}}}
SCHEMA_FORMAT = {"type": "json_schema",
                 "json_schema": {"name": "person", "strict": True, "schema": PERSON}}
# Without reasoning, which has no bounds.
QUICK = {"max_tokens": 200, "reasoning_effort": "none"}


class AnswerForms(ApiTest):
    def setUp(self):
        super().setUp()
        self.start_api(workers=0)

    def form(self, **fields):
        return self.answered("/v1/chat/completions", chat(STORY) | QUICK | fields)

    def check_person(self, choice):
        self.assertEqual(choice["finish_reason"], "stop", choice)
        person = json.loads(choice["message"]["content"])
        self.assertEqual(list(person), list(PERSON["required"]))
        self.assertLessEqual(len(person["name"]), 20)
        self.assertIn(person["kind"], ["fox", "horse", "bird"])
        self.assertTrue(isinstance(person["age"], int) and 1 <= person["age"] <= 99)
        self.assertTrue(1 <= len(person["friends"]) <= 3)
        for friend in person["friends"]:
            self.assertRegex(friend, "^[A-Z][a-z]{2,8}$")

    def test_answers_of_a_schema_are_valid(self):
        self.check_person(self.form(response_format=SCHEMA_FORMAT))
        self.check_person(self.form(json_schema=PERSON))
        for seed in range(4):
            self.check_person(self.form(response_format=SCHEMA_FORMAT, temperature=1.5, seed=seed))

    def test_reasoning_comes_first(self):
        choice = self.form(json_schema=PERSON, reasoning_effort=None, max_tokens=300)
        self.assertTrue(choice["message"]["reasoning_content"])
        self.check_person(choice)

    def test_a_stream_holds_the_same(self):
        whole = self.form(response_format=SCHEMA_FORMAT)["message"]["content"]
        _, answer = self.stream("/v1/chat/completions",
                                chat(STORY, response_format=SCHEMA_FORMAT) | QUICK)
        *events, _ = events_of(answer)
        pieces = [json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events]
        self.assertEqual("".join(pieces), whole)

    def test_grammars(self):
        grammar = 'root ::= ("yes" | "no") " " [0-9]{3,5}'
        choice = self.form(grammar=grammar)
        self.assertRegex(choice["message"]["content"], r"^(yes|no) \d{3,5}$")
        self.assertEqual(choice["finish_reason"], "stop")
        text = self.answered("/v1/completions", {"prompt": "The sea", "grammar": grammar,
                                                 "temperature": 0, "max_tokens": 50})
        self.assertRegex(text["text"], r"^(yes|no) \d{3,5}$")
        # The bound on tokens comes first.
        choice = self.form(grammar='root ::= "a"{1000}', max_tokens=20)
        self.assertEqual(choice["finish_reason"], "length")
        self.assertRegex(choice["message"]["content"], "^a+$")

    def test_any_object(self):
        choice = self.form(response_format={"type": "json_object"}, repeat_penalty=1.3)
        if choice["finish_reason"] == "stop":
            self.assertIsInstance(json.loads(choice["message"]["content"]), dict)
        else:
            self.assertTrue(choice["message"]["content"].startswith("{"))

    def check_call(self, choice, names):
        self.assertEqual(choice["finish_reason"], "tool_calls", choice)
        self.assertFalse(choice["message"]["content"], choice)
        self.assertEqual(len(choice["message"]["tool_calls"]), 1)
        function = choice["message"]["tool_calls"][0]["function"]
        self.assertIn(function["name"], names)
        arguments = json.loads(function["arguments"])
        if function["name"] == "look":
            self.assertEqual(list(arguments), ["thing", "times"])
            self.assertLessEqual(len(arguments["thing"]), 12)
            self.assertTrue(0 <= arguments["times"] <= 20)
        else:
            self.assertIn(arguments["seconds"], [1, 2, 5])

    def test_required_calls_are_valid(self):
        one = {"tools": [TOOL, WAIT], "parallel_tool_calls": False}
        self.check_call(self.form(tool_choice="required", **one), ["look", "wait"])
        for tool in (TOOL, WAIT):
            name = tool["function"]["name"]
            named = {"type": "function", "function": {"name": name}}
            self.check_call(self.form(tool_choice=named, **one), [name])
            for seed in range(3):
                self.check_call(self.form(tool_choice=named, temperature=1.2, seed=seed, **one),
                                [name])

    def test_what_cannot_be_met_is_said(self):
        def refused(**fields):
            status, answer = self.request("POST", "/v1/chat/completions", chat(STORY) | fields)
            self.assertEqual(status, 400, answer)
            return answer["error"]
        error = refused(json_schema={"properties": {"a": {"not": {}}}})
        self.assertEqual(error["param"], "json_schema")
        self.assertIn("properties.a.not", error["message"])
        error = refused(grammar="root ::= \"a\"\nx ::= *")
        self.assertEqual(error["param"], "grammar")
        self.assertIn("line 2", error["message"])
        self.assertEqual(refused(tool_choice="required")["param"], "tool_choice")


class OverAPool(ApiTest):
    """Company, a pool and a small memory for caches change nothing."""

    def told(self):
        asked = chat(STORY, response_format=SCHEMA_FORMAT, n=3, seed=5) | QUICK | {"temperature": 1}
        status, answer = self.request("POST", "/v1/chat/completions", asked)
        self.assertEqual(status, 200, answer)
        return [choice["message"]["content"] for choice in answer["choices"]]

    def test_the_same_alone_and_with_workers(self):
        self.start_api(workers=0)
        alone = self.told()
        self.stop(self.server)
        self.start_api(workers=2)
        self.assertEqual(self.told(), alone)
        self.assertTrue(all(re.match(r"\{", text) for text in alone))


if __name__ == "__main__":
    unittest.main()
