//! The Rust types of fields, and how their values stand in records and columns (little-endian).

use crate::schema::Kind;

/// Text, as `&[u8]`: UTF-8 as a rule, but any bytes at all. Fixed char arrays end at their first NUL.
pub struct Text(());

/// Bytes, as `&[u8]`.
pub struct Bytes(());

/// A list of texts, such as the arguments of a program, as [`TextListIter`].
pub struct TextList(());

/// The Rust type of a field.
pub trait Type: 'static {
    /// The kind of a new field of this type.
    const KIND: Kind;
    const LENGTH: u32 = 1;
    /// Size in bytes of a value; 0 when values differ.
    const WIDTH: usize = 0;
    /// For error texts.
    fn name() -> String;
    /// Whether a field of this kind can be read as this type.
    fn reads(kind: Kind, length: u32) -> bool {
        kind == Self::KIND && length == Self::LENGTH
    }
}

/// A type whose values can be read from bytes that live for `'a`.
pub trait Decode<'a>: Type {
    type Value;
    /// `None` when the bytes cannot be such a value.
    fn decode(bytes: &'a [u8], kind: Kind) -> Option<Self::Value>;
}

/// A number or truth value.
pub trait Number: Type + Copy {
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
    fn append(self, to: &mut Vec<u8>);
}

macro_rules! numbers {
    ($($type:ty, $kind:ident, $name:literal;)*) => {$(
        impl Type for $type {
            const KIND: Kind = Kind::$kind;
            const WIDTH: usize = std::mem::size_of::<$type>();
            fn name() -> String {
                $name.into()
            }
        }

        impl Number for $type {
            #[inline(always)]
            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                Some(<$type>::from_le_bytes(bytes.try_into().ok()?))
            }
            #[inline(always)]
            fn append(self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }
        }

        impl Decode<'_> for $type {
            type Value = $type;
            #[inline(always)]
            fn decode(bytes: &[u8], _kind: Kind) -> Option<Self> {
                Self::from_bytes(bytes)
            }
        }
    )*};
}

numbers! {
    i8, S8, "s8";
    i16, S16, "s16";
    i32, S32, "s32";
    i64, S64, "s64";
    u8, U8, "u8";
    u16, U16, "u16";
    u32, U32, "u32";
    u64, U64, "u64";
    f32, F32, "f32";
    f64, F64, "f64";
}

impl Type for bool {
    const KIND: Kind = Kind::BOOLEAN;
    const WIDTH: usize = 1;
    fn name() -> String {
        "boolean".into()
    }
}

impl Number for bool {
    #[inline(always)]
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(u8::from_bytes(bytes)? != 0)
    }
    #[inline(always)]
    fn append(self, to: &mut Vec<u8>) {
        to.push(u8::from(self));
    }
}

impl Decode<'_> for bool {
    type Value = bool;
    #[inline(always)]
    fn decode(bytes: &[u8], _kind: Kind) -> Option<Self> {
        Self::from_bytes(bytes)
    }
}

impl<T: Number, const N: usize> Type for [T; N] {
    const KIND: Kind = T::KIND;
    const LENGTH: u32 = N as u32;
    const WIDTH: usize = N * T::WIDTH;
    fn name() -> String {
        format!("{N} of {}", T::name())
    }
}

impl<T: Number + Default, const N: usize> Decode<'_> for [T; N] {
    type Value = [T; N];
    fn decode(bytes: &[u8], _kind: Kind) -> Option<Self> {
        if bytes.len() != Self::WIDTH {
            return None;
        }
        let mut values = [T::default(); N];
        for (value, bytes) in values.iter_mut().zip(bytes.chunks_exact(T::WIDTH)) {
            *value = T::from_bytes(bytes)?;
        }
        Some(values)
    }
}

impl Type for Text {
    const KIND: Kind = Kind::TEXT;
    fn name() -> String {
        "text".into()
    }
    fn reads(kind: Kind, _length: u32) -> bool {
        kind == Kind::TEXT || kind == Kind::CSTRING
    }
}

impl<'a> Decode<'a> for Text {
    type Value = &'a [u8];
    #[inline(always)]
    fn decode(bytes: &'a [u8], kind: Kind) -> Option<&'a [u8]> {
        Some(if kind == Kind::CSTRING { before_nul(bytes) } else { bytes })
    }
}

impl Type for Bytes {
    const KIND: Kind = Kind::BYTES;
    fn name() -> String {
        "bytes".into()
    }
    fn reads(kind: Kind, _length: u32) -> bool {
        kind == Kind::BYTES
    }
}

impl<'a> Decode<'a> for Bytes {
    type Value = &'a [u8];
    #[inline(always)]
    fn decode(bytes: &'a [u8], _kind: Kind) -> Option<&'a [u8]> {
        Some(bytes)
    }
}

impl Type for TextList {
    const KIND: Kind = Kind::TEXT_LIST;
    fn name() -> String {
        "text-list".into()
    }
    fn reads(kind: Kind, _length: u32) -> bool {
        kind == Kind::TEXT_LIST
    }
}

impl<'a> Decode<'a> for TextList {
    type Value = TextListIter<'a>;
    fn decode(bytes: &'a [u8], _kind: Kind) -> Option<TextListIter<'a>> {
        Some(TextListIter { rest: bytes })
    }
}

/// The texts of a list, one after the other. A last one that was cut off counts.
#[derive(Clone, Copy, Debug)]
pub struct TextListIter<'a> {
    rest: &'a [u8],
}

impl<'a> TextListIter<'a> {
    /// As it stands in the event: NUL behind each text.
    pub(crate) fn as_bytes(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for TextListIter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let text = before_nul(self.rest);
        self.rest = self.rest.get(text.len() + 1..).unwrap_or_default();
        Some(text)
    }
}

#[inline]
fn before_nul(bytes: &[u8]) -> &[u8] {
    let size = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    &bytes[..size]
}
