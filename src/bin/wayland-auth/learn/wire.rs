//! Messages on the wire, as far as they are looked into.

/// The length of a message's head: the object, and opcode and size.
pub(super) const HEAD: usize = 8;

/// A whole message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) object: u32,
    pub(super) opcode: u16,
    pub(super) arguments: &'a [u8],
    /// All of it.
    pub(super) bytes: &'a [u8],
}

/// Bytes that cannot be the beginning of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The first message in `bytes`; `None` if it is not there as a whole.
pub(super) fn first(bytes: &[u8]) -> Result<Option<Message<'_>>, Malformed> {
    let mut head = Arguments(bytes);
    let (Some(object), Some(word)) = (head.word(), head.word()) else { return Ok(None) };
    let [size, opcode] = [word >> 16, word & 0xffff].map(|half| u16::try_from(half).unwrap_or_default());
    if usize::from(size) < HEAD || size % 4 != 0 {
        return Err(Malformed);
    }
    let whole = bytes.get(..usize::from(size));
    Ok(whole.map(|bytes| Message { object, opcode, arguments: bytes.get(HEAD..).unwrap_or_default(), bytes }))
}

/// The arguments of a message that were not read yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arguments<'a>(pub(super) &'a [u8]);

impl<'a> Arguments<'a> {
    /// The next number, object or new object.
    pub(super) fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_ne_bytes(*word))
    }

    /// The next string, which is neither null nor anything but UTF-8.
    pub(super) fn string(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.word()?).ok()?;
        let padded = len.checked_next_multiple_of(4)?;
        let (string, rest) = self.0.split_at_checked(padded)?;
        self.0 = rest;
        let (nul, text) = string.get(..len)?.split_last()?;
        std::str::from_utf8(text).ok().filter(|text| *nul == 0 && !text.contains('\0'))
    }
}

/// The event `wl_display.error`.
pub(super) fn error(object: u32, code: u32, text: &str) -> Vec<u8> {
    let len = text.len() + 1;
    let mut bytes = Vec::with_capacity(HEAD + 16 + len);
    let size = HEAD + 12 + len.next_multiple_of(4);
    for word in [1, u32::try_from(size << 16).unwrap_or_default(), object, code, u32::try_from(len).unwrap_or_default()]
    {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(text.as_bytes());
    bytes.resize(size, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(object: u32, size: u32, opcode: u32, rest: &[u8]) -> Vec<u8> {
        [&object.to_ne_bytes()[..], &(size << 16 | opcode).to_ne_bytes(), rest].concat()
    }

    #[test]
    fn a_message_is_there_once_all_of_it_is() {
        let bytes = message(7, 12, 3, &[1, 0, 0, 0, 9, 9]);
        for len in 0..12 {
            assert!(first(&bytes[..len]).unwrap().is_none(), "{len}");
        }
        let whole = first(&bytes).unwrap().unwrap();
        assert_eq!((whole.object, whole.opcode, whole.arguments, whole.bytes.len()), (7, 3, &[1, 0, 0, 0][..], 12));
    }

    #[test]
    fn sizes_that_no_message_has_are_malformed() {
        for size in [0, 4, 7, 9, 10, 0xffff] {
            assert_eq!(first(&message(1, size, 0, &[])).err(), Some(Malformed), "{size}");
        }
    }

    #[test]
    fn strings_end_where_they_say() {
        let string = |len: u32, bytes: &[u8]| [&len.to_ne_bytes()[..], bytes].concat();
        assert_eq!(Arguments(&string(3, b"ab\0\0")).string(), Some("ab"));
        for (len, bytes) in
            [(0, &b""[..]), (3, b"abc\0"), (5, b"abcd"), (u32::MAX, b"ab\0\0"), (3, b"\xff\xff\0\0"), (4, b"a\0b\0")]
        {
            assert_eq!(Arguments(&string(len, bytes)).string(), None, "{len} {bytes:?}");
        }
    }

    #[test]
    fn an_error_is_an_event_like_others() {
        for text in ["", "a", "abc", "abcd"] {
            let bytes = error(2, 0, text);
            let event = first(&bytes).unwrap().unwrap();
            assert_eq!((event.object, event.opcode, event.bytes.len()), (1, 0, bytes.len()));
            let mut arguments = Arguments(event.arguments);
            assert_eq!((arguments.word(), arguments.word(), arguments.string()), (Some(2), Some(0), Some(text)));
        }
    }
}
