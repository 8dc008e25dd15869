//! Where something is in a text, and where something new belongs.
//!
//! Owns: spans and lines.

use std::ops::Range;

use toml_edit::{Document, Item, Table, Value};

use super::tables_of;

/// A part of the text and what takes its place.
#[derive(Debug, Clone)]
pub(super) struct Splice {
    at: Range<usize>,
    text: String,
}

/// What is at a path.
pub(super) enum Located<'a> {
    Nothing,
    Item(&'a Item),
    /// It is, or would be, inside of the value `outer`, at the last part of the path.
    Inside {
        outer: &'a Value,
        rest: &'a [String],
    },
}

/// Looks for `path`.
pub(super) fn find<'a>(doc: &'a Document<&str>, path: &'a [String]) -> Located<'a> {
    let mut table = doc.as_table();
    for (at, key) in path.iter().enumerate() {
        let Some(item) = table.get(key) else { return Located::Nothing };
        let rest = &path[at + 1..];
        match item {
            _ if rest.is_empty() => return Located::Item(item),
            Item::Table(inner) => table = inner,
            Item::Value(outer @ Value::InlineTable(_)) => return Located::Inside { outer, rest },
            _ => return Located::Nothing,
        }
    }
    Located::Nothing
}

/// The whole lines that `span` touches, their end included.
pub(super) fn lines_of(text: &str, span: Range<usize>) -> Range<usize> {
    line_start(text, span.start)..line_end(text, span.end)
}

fn line_start(text: &str, at: usize) -> usize {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    if start == 0 && text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { start }
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |end| at + end + 1)
}

/// What must go with the table or list of tables `item`: its headers with the comments right above
/// them, its keys, and everything between them.
pub(super) fn removal(item: &Item, text: &str) -> Vec<Splice> {
    let mut tables = Vec::new();
    tables_of(item, &mut tables);
    let mut gone: Vec<Range<usize>> = Vec::new();
    for table in tables {
        let leaves = leaf_ends(table);
        if let Some(header) = header_of(table) {
            let end = leaves.iter().map(|leaf| leaf.end).max().unwrap_or(header.end);
            gone.push(above(text, header.start)..line_end(text, end.max(header.end)));
        } else {
            gone.extend(leaves.into_iter().map(|leaf| lines_of(text, leaf)));
        }
    }
    gone.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in gone {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    for range in &mut merged {
        swallow_blank(text, range);
    }
    merged.into_iter().map(|at| Splice { at, text: String::new() }).collect()
}

/// Of two blank lines around what goes, one goes with it.
fn swallow_blank(text: &str, range: &mut Range<usize>) {
    let before = &text[..range.start];
    let blank_before = before.trim_start_matches('\u{feff}').is_empty()
        || before.strip_suffix('\n').is_some_and(|rest| {
            rest.rsplit('\n').next().is_some_and(|line| line.trim().is_empty())
        });
    let next = line_end(text, range.end);
    if blank_before && next > range.end && text[range.end..next].trim().is_empty() {
        range.end = next;
    }
}

/// The start of the comment lines right above the line of `at`; of that line, if there are none or
/// they begin the file, which they are about then.
fn above(text: &str, at: usize) -> usize {
    let (first, own) = (line_start(text, 0), line_start(text, at));
    let mut start = own;
    while start > first {
        let previous = line_start(text, start - 1);
        if !text[previous..start].trim_start().starts_with('#') {
            return start;
        }
        start = previous;
    }
    own
}

/// The header of a table that has one: `[a.b]`.
fn header_of(table: &Table) -> Option<Range<usize>> {
    let has_header = !table.is_implicit() && !table.is_dotted();
    table.span().filter(|span| has_header && !span.is_empty())
}

/// The spans of the values that are written in the lines of `table` itself, dotted keys included.
fn leaf_ends(table: &Table) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (_, item) in table {
        match item {
            Item::Value(value) => found.extend(value.span()),
            Item::Table(inner) if inner.is_dotted() => found.extend(leaf_ends(inner)),
            _ => {}
        }
    }
    found
}

/// Where a line can be added.
pub(super) struct Behind {
    /// Behind the line that ends here.
    at: usize,
    /// How many parts of the path the table's header has.
    pub(super) depth: usize,
    indent: String,
}

/// The place behind the last line of the table nearest to `path` that has lines of its own.
pub(super) fn behind_last(doc: &Document<&str>, path: &[String], text: &str) -> Option<Behind> {
    let (mut table, mut depth) = (doc.as_table(), 0);
    // The header under which the line would be, and its nearest neighbour below.
    let (mut head, mut nearest) = (Some((doc.as_table(), 0)), doc.as_table());
    for key in &path[..path.len() - 1] {
        let Some(inner) = table.get(key).and_then(Item::as_table) else { break };
        depth += 1;
        table = inner;
        if !inner.is_dotted() {
            head = header_of(inner).map(|_| (inner, depth));
        }
        nearest = inner;
    }
    let (head, depth) = head?;
    let last = |table: &Table| leaf_ends(table).into_iter().max_by_key(|leaf| leaf.end);
    let leaf = last(nearest).or_else(|| last(head));
    let (at, indent) = match (leaf, header_of(head)) {
        (Some(leaf), _) => {
            let start = line_start(text, leaf.start);
            let blank = text[start..].len() - text[start..].trim_start_matches([' ', '\t']).len();
            (line_end(text, leaf.end), text[start..start + blank].to_owned())
        }
        (None, Some(header)) => (line_end(text, header.end), String::new()),
        // Nothing is at the root yet: before everything else.
        (None, None) => (line_start(text, 0), String::new()),
    };
    Some(Behind { at, depth, indent })
}

impl Behind {
    /// `line` there.
    pub(super) fn line(&self, text: &str, line: &str) -> Splice {
        let end = line_break(text);
        let open = self.at > 0 && !text[..self.at].ends_with(['\n', '\u{feff}']);
        let before = if open { end } else { "" };
        let line = format!("{before}{}{line}{end}", self.indent);
        Splice { at: self.at..self.at, text: line }
    }
}

/// `lines` at the end of the file, behind a blank line.
pub(super) fn at_end(text: &str, lines: &[String]) -> Splice {
    let end = line_break(text);
    let mut added = String::new();
    if !text.is_empty() && !text.ends_with('\n') {
        added.push_str(end);
    }
    let blank = text.trim_start_matches('\u{feff}').is_empty()
        || text.ends_with("\n\n")
        || text.ends_with("\n\r\n");
    if !blank {
        added.push_str(end);
    }
    for line in lines {
        added.push_str(line);
        added.push_str(end);
    }
    Splice { at: text.len()..text.len(), text: added }
}

/// How the lines of `text` end.
fn line_break(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// Makes every splice, none of which touches another.
pub(super) fn apply_splices(mut text: String, mut splices: Vec<Splice>) -> String {
    splices.sort_by_key(|splice| std::cmp::Reverse(splice.at.start));
    for Splice { at, text: new } in splices {
        text.replace_range(at, &new);
    }
    text
}
