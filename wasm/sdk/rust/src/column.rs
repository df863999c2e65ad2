//! New fields, of events that pass by or of emitted ones: their values until the patch takes them.

use crate::values::{Bytes, Number, Text, TextList, TextListIter, Type};
use std::fmt;
use std::io::Write;
use std::marker::PhantomData;

/// A field that the module makes, of type `T` (as for [`Field`](crate::Field)).
pub struct Column<T> {
    /// The source's id; of one that the module makes: `NEW_SOURCE` + its number.
    pub(crate) owner: u32,
    /// Among those of all sources; of one that the module makes: among its own.
    pub(crate) index: usize,
    of: PhantomData<T>,
}

pub const NEW_SOURCE: u32 = 1 << 31;

impl<T> Clone for Column<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Column<T> {}

impl<T: Type> Column<T> {
    pub(crate) fn new(owner: u32, index: usize) -> Self {
        Column { owner, index, of: PhantomData }
    }
}

/// A value for a new field of type `T`. Texts are anything of bytes or characters, also `format_args!(…)`, which
/// allocates nothing; a list is a slice of texts; an `Option` is a value or none.
pub trait Value<T> {
    /// Appends the value; false = there is none.
    #[doc(hidden)]
    fn append(self, to: &mut Vec<u8>) -> bool;
}

impl<T: Number> Value<T> for T {
    #[inline(always)]
    fn append(self, to: &mut Vec<u8>) -> bool {
        Number::append(self, to);
        true
    }
}

impl<T: Number, const N: usize> Value<[T; N]> for [T; N] {
    fn append(self, to: &mut Vec<u8>) -> bool {
        self.into_iter().for_each(|number| Number::append(number, to));
        true
    }
}

impl<T, V: Value<T>> Value<T> for Option<V> {
    #[inline(always)]
    fn append(self, to: &mut Vec<u8>) -> bool {
        self.map_or(false, |value| value.append(to))
    }
}

macro_rules! values_of_bytes {
    ($target:ty: $($type:ty),*) => {$(
        impl Value<$target> for $type {
            #[inline]
            fn append(self, to: &mut Vec<u8>) -> bool {
                to.extend_from_slice(self.as_ref());
                true
            }
        }
    )*};
}

values_of_bytes!(Text: &[u8], &Vec<u8>, Vec<u8>, &str, &String, String);
values_of_bytes!(Bytes: &[u8], &Vec<u8>, Vec<u8>);

impl<const N: usize> Value<Text> for &[u8; N] {
    fn append(self, to: &mut Vec<u8>) -> bool {
        Value::<Text>::append(&self[..], to)
    }
}

impl<const N: usize> Value<Bytes> for &[u8; N] {
    fn append(self, to: &mut Vec<u8>) -> bool {
        Value::<Bytes>::append(&self[..], to)
    }
}

impl Value<Text> for fmt::Arguments<'_> {
    fn append(self, to: &mut Vec<u8>) -> bool {
        to.write_fmt(self).is_ok()
    }
}

impl Value<TextList> for TextListIter<'_> {
    fn append(self, to: &mut Vec<u8>) -> bool {
        let bytes = self.as_bytes();
        to.extend_from_slice(bytes);
        if bytes.last().map_or(false, |&last| last != 0) {
            to.push(0); // it was cut off
        }
        true
    }
}

impl<S: AsRef<[u8]>> Value<TextList> for &[S] {
    fn append(self, to: &mut Vec<u8>) -> bool {
        for text in self {
            to.extend_from_slice(text.as_ref());
            to.push(0);
        }
        true
    }
}

impl<S: AsRef<[u8]>> Value<TextList> for &Vec<S> {
    fn append(self, to: &mut Vec<u8>) -> bool {
        self.as_slice().append(to)
    }
}

impl<S: AsRef<[u8]>, const N: usize> Value<TextList> for [S; N] {
    fn append(self, to: &mut Vec<u8>) -> bool {
        self.as_slice().append(to)
    }
}

/// The values of a new field, up to the last that was set; its memory is kept from batch to batch.
pub struct Buffer {
    pub owner: u32,
    pub wanted: bool,
    /// Size of a value in bytes; 0 when values differ.
    pub width: usize,
    pub values: Vec<u8>,
    /// Where each value ends, when they differ in size.
    pub ends: Vec<u32>,
    /// One byte per row.
    pub defined: Vec<u8>,
}

impl Buffer {
    pub fn new(owner: u32, width: usize) -> Self {
        Buffer { owner, wanted: true, width, values: vec![], ends: vec![], defined: vec![] }
    }

    pub fn clear(&mut self) {
        self.values.clear();
        self.ends.clear();
        self.defined.clear();
    }

    /// Gives `row`, the last there is, its value.
    #[inline]
    pub fn set<T>(&mut self, row: usize, value: impl Value<T>) {
        if !self.wanted {
            return;
        }
        self.set_rows(row);
        let before = self.values.len();
        if !value.append(&mut self.values) {
            self.values.truncate(before);
            return;
        }
        self.defined.push(1);
        if self.width == 0 {
            self.ends.push(self.values.len() as u32);
        }
    }

    /// Makes it `rows` rows long; those added have no value.
    #[inline]
    pub fn set_rows(&mut self, rows: usize) {
        if self.defined.len() != rows {
            self.resize(rows);
        }
    }

    #[inline(never)]
    fn resize(&mut self, rows: usize) {
        self.defined.resize(rows, 0);
        if self.width > 0 {
            self.values.resize(rows * self.width, 0);
        } else {
            let end = self.ends.get(..rows.min(self.ends.len())).and_then(|ends| ends.last()).copied();
            let end = end.unwrap_or(0);
            self.values.truncate(end as usize);
            self.ends.resize(rows, end);
        }
    }
}
