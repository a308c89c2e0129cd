//! Results as a table.

use super::stats::Series;

/// One line: what we take, what it is held against, and how much of that is allowed.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) ours: Value,
    pub(crate) floor: Value,
    /// The largest ratio that is good enough.
    pub(crate) target: f64,
}

/// A time in nanoseconds, with how far its rounds spread if it was measured directly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    pub(crate) median: f64,
    pub(crate) iqr: Option<f64>,
}

impl From<&Series> for Value {
    fn from(series: &Series) -> Self {
        Self { median: series.median(), iqr: Some(series.iqr()) }
    }
}

impl From<f64> for Value {
    fn from(median: f64) -> Self {
        Self { median, iqr: None }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.iqr {
            Some(iqr) => f.pad(&format!("{} (IQR {})", time(self.median), time(iqr))),
            None => f.pad(&time(self.median)),
        }
    }
}

/// A time with a unit that fits it.
pub(crate) fn time(nanoseconds: f64) -> String {
    if nanoseconds.abs() < 1000.0 { format!("{nanoseconds:.1} ns") } else { format!("{:.2} us", nanoseconds / 1000.0) }
}

/// Prints the rows under a title; `ours` and `floor` say what these columns hold.
pub(crate) fn print(title: &str, ours: &str, floor: &str, rows: &[Row]) {
    let name_width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max("name".len());
    println!("\n{title}");
    println!("  {:name_width$}  {ours:>26}  {floor:>26}  {:>6}  {:>6}  result", "name", "ratio", "target");
    for Row { name, ours, floor, target } in rows {
        let ratio = ours.median / floor.median;
        let result = if ratio <= *target { "ok" } else { "missed" };
        println!("  {name:name_width$}  {ours:>26}  {floor:>26}  {ratio:>6.3}  {target:>6.2}  {result}");
    }
}
