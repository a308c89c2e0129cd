//! The key files that engines put into their sandboxes.

/// The most that is read of one. Real ones have a few hundred bytes, and a few thousand with many permissions.
pub(super) const MAX_LEN: usize = 64 * 1024;

/// A key file, read strictly: whatever is not one is none.
#[derive(Debug)]
pub(super) struct KeyFile<'a>(Vec<(&'a str, &'a str, &'a str)>);

impl<'a> KeyFile<'a> {
    /// Groups in brackets, keys with `=`, comments with `#`, blank lines: nothing else, and no NUL anywhere.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))?;
        let mut entries = Vec::new();
        let mut group = None;
        for line in text.lines() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(rest) = line.strip_prefix('[') {
                group = Some(rest.trim_end().strip_suffix(']').filter(|name| !name.contains(['[', ']']))?);
                continue;
            }
            let (key, value) = line.split_once('=')?;
            entries.push((group?, key.trim_end(), value.trim_start()));
        }
        (!entries.is_empty()).then_some(Self(entries))
    }

    /// The one value of a key.
    ///
    /// # Errors
    ///
    /// If it has two: readers differ in which one counts.
    pub(super) fn get(&self, group: &str, key: &str) -> Result<Option<&'a str>, ()> {
        let mut values = self.0.iter().filter(|(g, k, _)| *g == group && *k == key).map(|(_, _, value)| *value);
        let first = values.next();
        if values.next().is_some() { Err(()) } else { Ok(first) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_their_group() {
        let file = KeyFile::parse(b"# x\n\n[A]\nname=a\nname[de]=x\n[B] \nname = b = c\n").unwrap();
        assert_eq!(file.get("A", "name"), Ok(Some("a")));
        assert_eq!(file.get("B", "name"), Ok(Some("b = c")));
        assert_eq!(file.get("C", "name"), Ok(None));
        let twice = KeyFile::parse(b"[A]\nname=a\n[B]\n[A]\nname=b\n").unwrap();
        assert_eq!(twice.get("A", "name"), Err(()));
    }

    #[test]
    fn t25_whatever_is_no_key_file_is_none() {
        for bad in [
            &b""[..],
            b"\n",
            b"name=a",
            b"[A]\nname",
            b"[A\nname=a",
            b"[A]]\nname=a",
            b"[A]\nname=a\0b",
            b"\xff",
            b"[A]\n",
        ] {
            assert!(KeyFile::parse(bad).is_none(), "{bad:?}");
        }
    }
}
