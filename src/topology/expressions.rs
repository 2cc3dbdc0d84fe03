//! The section of docs/topology.md on expressions, up to its list of functions, which comes from the checker.

pub(super) const SECTION: &str = "
## Expressions

`filter` and `compute` take expressions over the columns of a row:

```toml
filter = \"kind in ('cafe', 'bakery') and number(area) >= 33.5\"
compute = { density = \"round(people / area, 2)\", label = \"name || ' (' || kind || ')'\" }
```

A whole topology with all the maps over columns is
[open-shops.toml](../topology/open-shops.toml), with a sample file.

An expression has a type, which `validate` checks with the rest of the file and points at where it
is wrong. It reads the columns of one row and nothing else, and it always ends. Types are `number`,
`text`, `boolean`, `date` and `datetime`. A column has the type that `columns` of the source, a
`cast` or the map that makes it gives it; a column without one, or of the type `auto`, is a text,
and `number(area)` reads it as a number.

Numbers are decimal and exact, with up to 38 digits: `0.1 + 0.2` is `0.3`. A quotient has up to 15
decimals, the last one rounded. A division by zero, or a result that needs more digits, rejects its
row as `expression.undefined`. Texts are compared character by character, in the order of Unicode.
A text in quotes beside a date is read as one, `opened >= '2026-01-31'`.

A blank cell of a number, boolean, date or datetime column is no value. A result computed from no
value is no value again, and becomes a blank cell; a comparison with it is neither true nor false,
so that `filter` does not keep the row, and `if` takes its other value. A blank text is the text
`''`. `empty` and `coalesce` deal with both.

```text
expression = and { \"or\" and }
and        = not { \"and\" not }
not        = { \"not\" } comparison
comparison = sum [ ( \"=\" | \"!=\" | \"<\" | \"<=\" | \">\" | \">=\" ) sum
                 | [ \"not\" ] \"in\" \"(\" expression { \",\" expression } \")\" ]
sum        = product { ( \"+\" | \"-\" | \"||\" ) product }
product    = sign { ( \"*\" | \"/\" ) sign }
sign       = [ \"-\" ] primary
primary    = number | text | \"true\" | \"false\" | column | call | \"(\" expression \")\"
call       = name \"(\" [ expression { \",\" expression } ] \")\"
column     = name | \"`\" characters \"`\"
name       = ( letter | \"_\" ) { letter | digit | \"_\" }       letters of any script
number     = digits [ \".\" digits ]
text       = \"'\" characters \"'\"                            a quote inside is doubled: 'it''s'
```

`||` joins texts, `+` adds numbers. An expression has at most 4,096 bytes, 250 operators, operands
and functions, and 40 levels of parentheses.

The functions, and the type that each gives:

";
