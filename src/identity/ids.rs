//! The validated names in an identity.

use std::fmt;

use super::engine;

/// The longest identifier that is accepted, in bytes.
pub const MAX_LEN: usize = 255;

/// Why a text is not an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It has more than [`MAX_LEN`] bytes.
    #[error("is longer than {MAX_LEN} bytes")]
    TooLong,
    /// It has a byte outside `A-Z a-z 0-9 : _ . -`.
    #[error("has a byte that an identifier may not have ({0:#04x} at offset {1})")]
    Byte(u8, usize),
}

/// Checks `bytes` against the grammar that all identifiers share:
/// 1 to [`MAX_LEN`] bytes out of `[A-Za-z0-9:_.-]`, the set that systemd-appd accepts.
///
/// It leaves no room for a NUL, a control character, a path separator, white space or
/// anything that two people could read differently, so an accepted text can be shown,
/// logged and compared as it is.
fn validate(bytes: &[u8]) -> Result<&str, InvalidId> {
    if bytes.is_empty() {
        return Err(InvalidId::Empty);
    }
    if bytes.len() > MAX_LEN {
        return Err(InvalidId::TooLong);
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'_' | b'.' | b'-');
    if let Some(at) = bytes.iter().position(|&b| !allowed(b)) {
        return Err(InvalidId::Byte(bytes[at], at));
    }
    // Every accepted byte is ASCII, so this cannot fail; an error is the safe answer anyway.
    std::str::from_utf8(bytes).map_err(|e| InvalidId::Byte(bytes[e.valid_up_to()], e.valid_up_to()))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
        pub struct $name(Box<str>);

        impl $name {
            /// Validates `bytes`.
            ///
            /// # Errors
            ///
            /// [`InvalidId`] says what is wrong with them; nothing is truncated or replaced.
            pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, InvalidId> {
                validate(bytes.as_ref()).map(|s| Self(s.into()))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// An application's ID, such as `org.gnome.Maps`.
    ///
    /// It is unique only together with the [`SandboxEngine`] that gave it.
    AppId
}

id! {
    /// One running instance of an application; opaque, its engine alone knows what it means.
    InstanceId
}

/// A sandbox engine by its reverse-DNS name, such as `org.flatpak`.
///
/// Known short forms equal the full name, such as `flatpak` and `org.flatpak`; [`SandboxEngine::written`] keeps
/// what the engine really wrote.
#[derive(Clone)]
pub struct SandboxEngine {
    name: Box<str>,
    written: Box<str>,
}

impl SandboxEngine {
    /// Validates `bytes` and replaces a known short form by the full name.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] says what is wrong with them.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, InvalidId> {
        let written = validate(bytes.as_ref())?;
        let name = engine::full_name(written).unwrap_or(written);
        Ok(Self { name: name.into(), written: written.into() })
    }

    /// An engine of our own table.
    pub(super) fn of_table(name: &'static str) -> Self {
        Self { name: name.into(), written: name.into() }
    }

    /// The engine's full name; what rules are matched against.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The name as it was written in the label.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }
}

impl PartialEq for SandboxEngine {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for SandboxEngine {}

impl std::hash::Hash for SandboxEngine {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for SandboxEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.name)
    }
}

impl fmt::Display for SandboxEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for SandboxEngine {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_accepted() {
        for text in ["org.example.App", "a", "1password", "snap.firefox", "a:b_c-d.e", &"x".repeat(MAX_LEN)] {
            assert_eq!(AppId::new(text).map(|id| id.as_str().to_owned()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn t25_everything_else_is_refused_whole() {
        let cases: &[(&[u8], InvalidId)] = &[
            (b"", InvalidId::Empty),
            (b"org.example.Bad\\x2dname", InvalidId::Byte(b'\\', 15)),
            (b"org.example.Foo@bar", InvalidId::Byte(b'@', 15)),
            ("org.example.\u{20ac}".as_bytes(), InvalidId::Byte(0xe2, 12)),
            (b"org.example/Something", InvalidId::Byte(b'/', 11)),
            (b"My Awesome App", InvalidId::Byte(b' ', 2)),
            (b"a\0", InvalidId::Byte(0, 1)),
            (b"\x1b[31m", InvalidId::Byte(0x1b, 0)),
            (b"a\n", InvalidId::Byte(b'\n', 1)),
            (b"\xff", InvalidId::Byte(0xff, 0)),
            ("\u{202e}moc".as_bytes(), InvalidId::Byte(0xe2, 0)),
        ];
        for (bytes, why) in cases {
            assert_eq!(AppId::new(bytes), Err(*why), "{bytes:?}");
        }
        assert_eq!(AppId::new("x".repeat(MAX_LEN + 1)), Err(InvalidId::TooLong));
    }

    #[test]
    fn an_engine_is_the_same_under_its_short_name() {
        let short = SandboxEngine::new("flatpak").unwrap();
        assert_eq!(short, SandboxEngine::new("org.flatpak").unwrap());
        assert_eq!((short.as_str(), short.written()), ("org.flatpak", "flatpak"));
        assert_ne!(short, SandboxEngine::new("org.flatpak2").unwrap());
    }

    #[test]
    fn names_are_shown_as_they_are() {
        let app = AppId::new("org.example.App").unwrap();
        assert_eq!(
            (app.to_string(), format!("{app:?}")),
            ("org.example.App".to_owned(), "\"org.example.App\"".to_owned())
        );
        let engine = SandboxEngine::new("flatpak").unwrap();
        assert_eq!(
            (engine.to_string(), format!("{engine:?}")),
            ("org.flatpak".to_owned(), "\"org.flatpak\"".to_owned())
        );
    }

    #[test]
    fn an_engine_hashes_as_it_compares() {
        let hash = |name: &str| {
            use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
            BuildHasherDefault::<DefaultHasher>::default().hash_one(SandboxEngine::new(name).unwrap())
        };
        assert_eq!(hash("flatpak"), hash("org.flatpak"));
        assert_ne!(hash("flatpak"), hash("org.other"));
    }
}
