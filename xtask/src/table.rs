//! Tables of text.

/// Draws `lines`, the first of which is the head. Cells are wrapped at the widths given; a longer word widens its
/// column.
#[must_use]
pub(crate) fn draw(lines: &[Vec<String>], widths: &[usize]) -> String {
    let cells: Vec<Vec<Vec<String>>> =
        lines.iter().map(|line| line.iter().zip(widths).map(|(cell, &width)| wrap(cell, width)).collect()).collect();
    let mut columns = vec![0; widths.len()];
    for line in &cells {
        for (column, cell) in columns.iter_mut().zip(line) {
            *column = cell.iter().map(|text| text.chars().count()).chain([*column]).max().unwrap_or(0);
        }
    }
    let rule: String = columns.iter().map(|&width| format!("+{}", "-".repeat(width + 2))).collect::<String>() + "+\n";
    let mut text = rule.clone();
    for line in &cells {
        let height = line.iter().map(Vec::len).max().unwrap_or(0);
        for row in 0..height {
            for (cell, &width) in line.iter().zip(&columns) {
                let part = cell.get(row).map_or("", String::as_str);
                text.push_str(&format!("| {part:<width$} "));
            }
            text.push_str("|\n");
        }
        text.push_str(&rule);
    }
    text
}

/// Breaks `text` at spaces into lines of at most `width` characters, longer words aside. What it is indented by stays.
#[must_use]
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let indent = &text[..text.len() - text.trim_start_matches(' ').len()];
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(word.to_owned()),
            None => lines.push(format!("{indent}{word}")),
        }
    }
    if lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_wrapped_and_columns_line_up() {
        let line = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let drawn = draw(&[line(["peer", "grim"]), line(["a long name", "works"])], &[6, 10]);
        let expected = "\
+--------+-------+
| peer   | grim  |
+--------+-------+
| a long | works |
| name   |       |
+--------+-------+
";
        assert_eq!(drawn, expected);
    }

    #[test]
    fn long_words_stay_whole_and_nothing_is_lost() {
        assert_eq!(wrap("a bb ccccccccc d", 4), ["a bb", "ccccccccc", "d"]);
        assert_eq!(wrap("  a b", 3), ["  a", "b"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
