//! What was wanted, and what was measured.

use wayland_auth_tests::Context;

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    what: String,
    target: String,
    measured: String,
    pub(crate) met: bool,
}

impl Row {
    pub(crate) fn new(what: &str, target: impl Into<String>, measured: impl Into<String>, met: bool) -> Self {
        Self { what: what.to_owned(), target: target.into(), measured: measured.into(), met }
    }

    /// A part that could not be measured.
    pub(crate) fn failed(part: &str, why: &str) -> Self {
        Self::new(part, "runs", why, false)
    }

    /// The line that a part's process prints.
    pub(crate) fn write(&self) -> String {
        serde_json::json!(["row", self.what, self.target, self.measured, self.met]).to_string()
    }

    /// Reads it.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        let text = |at: usize| value[at].as_str().map(str::to_owned);
        (text(0)? == "row").then_some(())?;
        Some(Self { what: text(1)?, target: text(2)?, measured: text(3)?, met: value[4].as_bool()? })
    }
}

/// Prints the table.
pub(crate) fn print(rows: &[Row]) {
    let width = |cell: fn(&Row) -> &String| rows.iter().map(|row| cell(row).chars().count()).max().unwrap_or(0);
    let (what, target) = (width(|row| &row.what), width(|row| &row.target));
    println!("\n{:what$}  {:target$}  result  measured", "what", "target");
    for row in rows {
        let result = if row.met { "ok" } else { "MISSED" };
        println!("{:what$}  {:target$}  {result:6}  {}", row.what, row.target, row.measured);
    }
    println!();
}

/// How busy the machine was in the last minute, five and fifteen.
pub(crate) fn load() -> Result<String, String> {
    let text = std::fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
    Ok(text.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

/// A number with its thousands apart.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
