//! As much of PNG as it takes to know a picture from a page of errors.

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    /// The file.
    pub(crate) bytes: Vec<u8>,
    /// In pixels.
    pub(crate) width: u32,
    /// In pixels.
    pub(crate) height: u32,
}

impl Picture {
    /// Takes `bytes` if they start and end as a PNG file does.
    pub(crate) fn new(bytes: Vec<u8>) -> Option<Self> {
        let header = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")?;
        let (width, rest) = header.split_first_chunk()?;
        let height = rest.first_chunk()?;
        let (width, height) = (u32::from_be_bytes(*width), u32::from_be_bytes(*height));
        bytes.ends_with(b"\0\0\0\0IEND\xaeB`\x82").then_some(Self { bytes, width, height })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_picture_has_a_size_and_anything_else_is_none() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x05\0\0\0\x02\xd0....".to_vec();
        assert_eq!(Picture::new(png.clone()), None);
        png.extend_from_slice(b"\0\0\0\0IEND\xaeB`\x82");
        let picture = Picture::new(png).unwrap();
        assert_eq!((picture.width, picture.height), (1280, 720));
        assert_eq!(Picture::new(b"no picture".to_vec()), None);
    }
}
