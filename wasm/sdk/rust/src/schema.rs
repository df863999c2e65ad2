//! The data sources and fields that the host offers, and those that the module makes: the records of the WIT.

/// A kind of value, as numbered by `enum kind` of the WIT.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub u8);

impl Kind {
    pub const BOOLEAN: Kind = Kind(1);
    pub const S8: Kind = Kind(2);
    pub const S16: Kind = Kind(3);
    pub const S32: Kind = Kind(4);
    pub const S64: Kind = Kind(5);
    pub const U8: Kind = Kind(6);
    pub const U16: Kind = Kind(7);
    pub const U32: Kind = Kind(8);
    pub const U64: Kind = Kind(9);
    pub const F32: Kind = Kind(10);
    pub const F64: Kind = Kind(11);
    pub const TEXT: Kind = Kind(12);
    pub const CSTRING: Kind = Kind(13);
    pub const BYTES: Kind = Kind(14);
    pub const TEXT_LIST: Kind = Kind(15);

    /// The kind's name in the WIT.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 16] = [
            "none",
            "boolean",
            "s8",
            "s16",
            "s32",
            "s64",
            "u8",
            "u16",
            "u32",
            "u64",
            "f32",
            "f64",
            "text",
            "cstring",
            "bytes",
            "text-list",
        ];
        NAMES.get(usize::from(self.0)).copied().unwrap_or("of an unknown kind")
    }
}

/// Where a batch has a field's values: `enum place` of the WIT.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Fixed,
    Tail,
    Column,
}

/// Texts of the host live as long as the module.
pub type HostText = &'static str;

pub struct HostField {
    pub name: HostText,
    pub kind: Kind,
    pub length: u32,
    pub place: Place,
    pub offset: u32,
    pub size: u32,
    pub annotations: Vec<(HostText, HostText)>,
}

pub struct HostSource {
    pub id: u32,
    pub name: HostText,
    pub fields: Vec<HostField>,
}

/// A field that the module makes.
pub struct PlannedField {
    pub name: String,
    pub kind: Kind,
    pub length: u32,
    pub tags: Vec<String>,
    pub annotations: Vec<(String, String)>,
    /// Size in bytes of a value; 0 when values differ.
    pub width: usize,
}

/// A data source that the module makes.
pub struct PlannedSource {
    pub name: String,
    pub fields: Vec<PlannedField>,
}

/// What `init` answers.
#[derive(Default)]
pub struct Plan {
    /// With the source's id.
    pub columns: Vec<(u32, PlannedField)>,
    /// A source's id, and the field's number in it.
    pub reads: Vec<(u32, u32)>,
    pub emits: Vec<PlannedSource>,
    pub tick_ms: u32,
}
