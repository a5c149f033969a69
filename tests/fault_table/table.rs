//! Reads the rows of the table.

/// The least that a reason says.
const SHORTEST_REASON: usize = 30;

/// One row: a fault and what guards against it.
pub(crate) struct Row<'a> {
    pub(crate) number: u32,
    /// Files with the names of their tests.
    pub(crate) guards: Vec<(&'a str, &'a str)>,
    /// What the last cell says besides.
    reason: &'a str,
}

impl Row<'_> {
    /// Whether it says why there is no test.
    pub(crate) fn has_reason(&self) -> bool {
        let begins =
            ["Not yet: ", "Does not apply: "].iter().any(|word| self.reason.starts_with(word));
        begins && self.reason.len() >= SHORTEST_REASON
    }
}

/// The rows of a document, and what is wrong with their form.
pub(crate) fn rows(document: &str) -> (Vec<Row<'_>>, Vec<String>) {
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for (line, text) in document.lines().enumerate().filter(|(_, text)| text.starts_with("| F")) {
        let cells = cells(text);
        if cells.first() == Some(&"F") {
            continue;
        }
        match row(&cells, &mut problems) {
            Ok(row) => rows.push(row),
            Err(problem) => problems.push(format!("line {}: {problem}", line + 1)),
        }
    }
    (rows, problems)
}

fn row<'a>(cells: &[&'a str], problems: &mut Vec<String>) -> Result<Row<'a>, String> {
    let [number, fault, does, guarded] = cells else {
        return Err(format!("{} cells instead of 4", cells.len()));
    };
    let digits = number.strip_prefix('F').and_then(|digits| digits.parse().ok());
    let number = digits.ok_or_else(|| format!("`{number}` is no number of a fault"))?;
    if fault.is_empty() || does.is_empty() {
        return Err(format!("F{number}: a cell is empty"));
    }
    let mut guards = Vec::new();
    // Every other part stands between backticks.
    for quoted in guarded.split('`').skip(1).step_by(2) {
        match quoted.split_once("::").filter(|(file, _)| file.ends_with(".rs")) {
            Some(guard) => guards.push(guard),
            None => problems.push(format!(
                "F{number}: `{quoted}` is not of the form `path/file.rs::test_name`"
            )),
        }
    }
    Ok(Row { number, guards, reason: guarded })
}

/// The tests that are named outside of the rows.
pub(crate) fn elsewhere(document: &str) -> Vec<(&str, &str)> {
    let lines = document.lines().filter(|line| !line.starts_with("| F"));
    let quoted = lines.flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted
        .filter_map(|text| text.split_once("::").filter(|(file, _)| file.ends_with(".rs")))
        .collect()
}

/// The cells of a row, without the white space around them. An escaped bar divides nothing.
fn cells(row: &str) -> Vec<&str> {
    let row = row.trim().trim_start_matches('|');
    let row = row.strip_suffix('|').unwrap_or(row);
    let (mut cells, mut from) = (Vec::new(), 0);
    for (at, _) in row.match_indices('|') {
        if !row[..at].ends_with('\\') {
            cells.push(row[from..at].trim());
            from = at + 1;
        }
    }
    cells.push(row[from..].trim());
    cells
}
