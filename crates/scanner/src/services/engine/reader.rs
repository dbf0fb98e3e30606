//! Reading binary answers front to back.

/// What is left of an answer. Every read past the end is none.
#[derive(Debug, Clone, Copy)]
pub(in crate::services) struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(in crate::services) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { left: bytes }
    }

    /// All that was not read yet.
    pub(in crate::services) fn rest(&self) -> &'a [u8] {
        self.left
    }

    pub(in crate::services) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(count)?;
        self.left = left;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(in crate::services) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    /// Big endian.
    pub(in crate::services) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Big endian.
    pub(in crate::services) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(in crate::services) fn u16_little(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(in crate::services) fn u32_little(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Up to the next zero byte, which is read too.
    pub(in crate::services) fn until_zero(&mut self) -> Option<&'a [u8]> {
        let length = memchr::memchr(0, self.left)?;
        let text = self.take(length)?;
        self.take(1)?;
        Some(text)
    }

    /// Reads these bytes or nothing.
    pub(in crate::services) fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        self.left = self.left.strip_prefix(bytes)?;
        Some(())
    }
}
