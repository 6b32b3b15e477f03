#!/usr/bin/env python3
"""Writes unicode_tables.cpp: what canonical composition (NFC) needs to know of Unicode.

The facts come from the Unicode database in Python's standard library (3.11: Unicode 14, the version
PCRE2 10.42 has). Run it as: ./make_unicode_tables.py > unicode_tables.cpp
"""
import unicodedata

HANGUL = range(0xAC00, 0xD7A4)  # decomposed by arithmetic


def canonical_decomposition(code_point):
    fields = unicodedata.decomposition(chr(code_point)).split()
    return [] if not fields or fields[0].startswith("<") else [int(f, 16) for f in fields]


def recomposes(code_point):
    return unicodedata.normalize("NFC", chr(code_point)) == chr(code_point)


def combining_class_ranges():
    ranges = []
    for code_point in range(0x110000):
        value = unicodedata.combining(chr(code_point))
        if value == 0:
            continue
        if ranges and ranges[-1][1] == code_point - 1 and ranges[-1][2] == value:
            ranges[-1][1] = code_point
        else:
            ranges.append([code_point, code_point, value])
    return ranges


def print_table(comment, declaration, rows):
    print(f"\n// {comment}\nconstexpr {declaration} = {{")
    line = "   "
    for row in rows:
        entry = " {" + ", ".join(row) + "},"
        if len(line) + len(entry) > 100:
            print(line)
            line = "   "
        line += entry
    print(line + "\n};")


def main():
    pairs, one_way = [], []
    for code_point in range(0x110000):
        parts = canonical_decomposition(code_point)
        if not parts or code_point in HANGUL:
            continue
        assert len(parts) <= 2 and all(not canonical_decomposition(p) for p in parts[1:])
        (pairs if recomposes(code_point) else one_way).append([code_point] + parts)
    hexadecimal = lambda row: [f"0x{value:X}" for value in row]
    print("// Written by make_unicode_tables.py from the Unicode Character Database, version "
          + unicodedata.unidata_version + ".")
    print('#include "engine/tokenizer/unicode_tables.h"\n\nnamespace potluck {\nnamespace {')
    print("\n// clang-format off")
    print_table("Composed characters: the character, its first and its second part.",
                "Decomposition kPairs[]", map(hexadecimal, pairs))
    print_table("Characters that always give way to one or two others.",
                "Decomposition kOneWay[]", map(hexadecimal, one_way))
    print_table("Combining classes other than 0: first and last character, class.",
                "CombiningRange kCombining[]",
                ([f"0x{a:X}", f"0x{b:X}", str(c)] for a, b, c in combining_class_ranges()))
    print("// clang-format on\n\n}  // namespace\n")
    for function, table, kind in (("composing_pairs", "kPairs", "Decomposition"),
                                  ("one_way_decompositions", "kOneWay", "Decomposition"),
                                  ("combining_ranges", "kCombining", "CombiningRange")):
        print(f"std::span<const {kind}> {function}() {{\n  return {table};\n}}\n")
    print("}  // namespace potluck")


main()
