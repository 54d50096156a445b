//! What a YAML syntax error is likely to come from: the scanner names the rule, people want the
//! cause.

/// Pieces of the scanner's messages with the usual cause; the first piece that is found counts.
const CAUSES: &[(&str, &str)] = &[
    ("tab", "indent with spaces: YAML takes no tabs there"),
    ("quoted scalar, found unexpected", "close the quote, or put the other kind around this text"),
    ("in quoted scalar", "close the quote above, or indent the text's further lines"),
    ("after double-quoted", "remove what follows the quote, or write `\\\"` within the text"),
    ("escape", "write `\\\\` for a backslash, or put the text in single quotes"),
    ("hexadecimal", "write `\\\\` for a backslash, or put the text in single quotes"),
    ("flow mapping", "close the `{` with `}`, and write `,` between its fields"),
    ("flow sequence", "close the `[` with `]`, and write `,` between its items"),
    ("flow construct", "close the bracket above, or indent its further lines"),
    ("bracket", "remove this bracket, or open it above"),
    ("-' indicator", "begin each item with `- ` in the same column"),
    ("'-'", "write a space after `-`, or put the text in quotes"),
    ("block sequence entries", "begin the list on the line below its key"),
    (
        "mapping values",
        "put a text that has `: ` in quotes, and begin each key on a line of its own",
    ),
    ("mapping keys", "begin each key on a line of its own"),
    ("':'", "write `key: value`, with a space after the colon"),
    ("simple key", "write `key: value`, with a space after the colon"),
    ("block scalar", "indent each line of the text below `|` or `>` alike, further than its key"),
    ("expected key", "begin this key in the column of those above it"),
    ("invalid indentation", "begin this line in the column of those it goes with"),
    (
        "anchor",
        "define the anchor (`&name`) above its alias, or put a text with `*` or `&` in quotes",
    ),
    ("alias", "put a text that begins with `*` or `&` in quotes"),
    ("tag", "put a text that begins with `!` in quotes"),
    ("irective", "remove the `%` line: documents need none"),
    ("unexpected character", "put a text that begins with this character in quotes"),
    ("next token", "put a text that begins with `@`, `` ` `` or `%` in quotes"),
    ("unprintable", "remove the character, or write it as an escape in double quotes"),
    ("byte order mark", "remove the mark: only a file's first character may be one"),
    (
        "<document",
        "begin this line in the column of those above it, or the next document with `---`",
    ),
    ("document end marker", "begin the next document with a line `---`"),
    ("comment", "end the text before the comment, or put it in quotes"),
];

/// Where to look when the scanner's message says nothing of use.
const CAUSE_UNKNOWN: &str =
    "look here and above for a quote or bracket that is not closed, or for a wrong indentation";

/// The likely cause of an error, by the scanner's message.
pub(super) fn help(info: &str) -> &'static str {
    CAUSES.iter().find(|(piece, _)| info.contains(piece)).map_or(CAUSE_UNKNOWN, |(_, help)| help)
}

#[cfg(test)]
mod tests;
