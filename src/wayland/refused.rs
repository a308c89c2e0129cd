//! Clients that were killed because they bound what they could not see.

use wayland_backend::server::DisconnectReason;

/// A bind that the server refused, and for which it killed the client: of a hidden global, or of
/// one that never was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedBind {
    /// The interface that the client asked for, escaped. Its own word: it need not be the global's.
    pub interface: String,
    /// The version that the client asked for.
    pub version: u32,
    /// The number of the global.
    pub name: u32,
}

impl RefusedBind {
    /// Reads it out of the reason why a client was disconnected
    /// (`ClientData::disconnected`); `None` if that was another.
    ///
    /// Only the Rust backend tells the reason; libwayland's says "connection closed" for
    /// protocol errors too.
    ///
    /// ```
    /// # use wayland_auth::wayland::RefusedBind;
    /// # use wayland_backend::server::DisconnectReason;
    /// assert_eq!(RefusedBind::of(&DisconnectReason::ConnectionClosed), None);
    /// ```
    #[must_use]
    pub fn of(reason: &DisconnectReason) -> Option<Self> {
        let DisconnectReason::ProtocolError(error) = reason else { return None };
        if error.object_interface != "wl_display" {
            return None;
        }
        Self::parse(&error.message)
    }

    /// The backend's words, which its type of error does not offer in parts.
    fn parse(message: &str) -> Option<Self> {
        let rest = message.strip_prefix("Invalid binding of ")?;
        // The interface's name is the client's own word and may contain anything: take the fixed parts from the end.
        let (rest, name) = rest.strip_suffix('.')?.rsplit_once(" for global ")?;
        let (interface, version) = rest.rsplit_once(" version ")?;
        Some(Self {
            interface: interface.escape_debug().to_string(),
            version: version.parse().ok()?,
            name: name.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_read_from_the_end() {
        let refused = |text| RefusedBind::parse(text).map(|r| (r.interface, r.version, r.name));
        assert_eq!(
            refused("Invalid binding of zwlr_screencopy_manager_v1 version 3 for global 7."),
            Some(("zwlr_screencopy_manager_v1".to_owned(), 3, 7))
        );
        assert_eq!(
            refused("Invalid binding of a version 9 for global 1.\n version 3 for global 7."),
            Some(("a version 9 for global 1.\\n".to_owned(), 3, 7))
        );
        assert_eq!(refused("Invalid something"), None);
    }
}
