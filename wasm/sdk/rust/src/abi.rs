//! The functions of the WIT as the component model's canonical ABI wants them of a core module. Everything unsafe of
//! this crate is here.
//! Layouts: <https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md>

use crate::init::Init;
use crate::log;
use crate::runtime::{Module, Runtime};
use crate::schema::{HostField, HostSource, HostText, Kind, Place, Plan, PlannedField};
use crate::{Program, Result};
use std::alloc::{alloc, handle_alloc_error, realloc, GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A list or string of the ABI.
#[repr(C)]
pub struct List<T> {
    start: *const T,
    length: usize,
}

impl<T: 'static> List<T> {
    const EMPTY: List<T> = List { start: std::ptr::null(), length: 0 };

    /// The host's list, which lives as long as the module.
    ///
    /// # Safety
    /// It must be one that the host just made by `allocate`.
    unsafe fn keep(&self) -> &'static [T] {
        match self.length {
            0 => &[],
            length => std::slice::from_raw_parts(self.start, length),
        }
    }

    /// The host's list, freed when dropped.
    ///
    /// # Safety
    /// As for `keep`, and only once.
    unsafe fn take(self) -> Box<[T]> {
        match self.length {
            0 => Box::default(),
            length => Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.start as *mut T, length)),
        }
    }

    /// A list for the host, which is never freed.
    fn leak(items: impl Iterator<Item = T>) -> Self {
        List::of(Box::leak(items.collect::<Vec<_>>().into_boxed_slice()))
    }

    /// A list for the host, which reads it before the next call.
    fn of(items: &[T]) -> Self {
        List { start: items.as_ptr(), length: items.len() }
    }
}

pub type Str = List<u8>;

impl Str {
    /// # Safety
    /// As for `keep`.
    unsafe fn text(&self) -> HostText {
        std::str::from_utf8(self.keep()).unwrap_or_default()
    }

    fn leak_text(text: &str) -> Self {
        List::leak(text.bytes())
    }
}

/// `record source`
#[repr(C)]
pub struct AbiSource {
    id: u32,
    name: Str,
    fields: List<AbiField>,
}

/// `record field`
#[repr(C)]
pub struct AbiField {
    name: Str,
    kind: u8,
    length: u32,
    place: u8,
    offset: u32,
    size: u32,
    tags: List<Str>,
    annotations: List<[Str; 2]>,
}

/// `record new-field`
#[repr(C)]
struct AbiNewField {
    name: Str,
    kind: u8,
    length: u32,
    tags: List<Str>,
    annotations: List<[Str; 2]>,
}

/// `record column`
#[repr(C)]
struct AbiColumn {
    source: u32,
    field: AbiNewField,
}

/// `record new-source`
#[repr(C)]
struct AbiNewSource {
    name: Str,
    fields: List<AbiNewField>,
}

/// `result<plan, string>`; an error's text stands where `columns` does.
#[repr(C)]
pub struct PlanResult {
    case: u8,
    columns: List<AbiColumn>,
    reads: List<[u32; 2]>,
    emits: List<AbiNewSource>,
    tick_ms: u32,
}

/// `result<list<u8>, string>`
#[repr(C)]
pub struct BytesResult {
    case: u8,
    bytes: List<u8>,
}

thread_local! {
    static MODULE: RefCell<Option<Box<dyn Module>>> = const { RefCell::new(None) };
    /// The last answer, until the next call.
    static ANSWER: Cell<BytesResult> = const { Cell::new(BytesResult { case: 0, bytes: List::EMPTY }) };
    static FAILURE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Where the host finds the words of a module that trapped: their address and size. Exported, as a core global.
#[no_mangle]
#[allow(non_upper_case_globals)]
pub static ig_last_words: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

/// Leaves the words to the host. They must not be freed before the trap.
fn leave(words: &str) {
    ig_last_words[0].store(words.as_ptr() as usize, Ordering::Relaxed);
    ig_last_words[1].store(words.len(), Ordering::Relaxed);
}

/// A panic traps: there is no unwinding.
fn leave_words_of_panics() {
    panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let reason = payload.downcast_ref::<String>().map(String::as_str);
        let reason = reason.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("panic");
        let words = match panic.location() {
            Some(place) => format!("{reason} ({}:{})", place.file(), place.line()),
            None => reason.into(),
        };
        leave(Box::leak(words.into_boxed_str()));
    }));
}

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const OUT_OF_MEMORY: &str = "it needs more memory than it may have";

/// The standard allocator; what it fails at ends in a trap without a panic.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        given(System.alloc(layout))
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        given(System.alloc_zeroed(layout))
    }
    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        given(System.realloc(old, layout, size))
    }
    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        System.dealloc(old, layout)
    }
}

#[inline(always)]
fn given(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        leave(OUT_OF_MEMORY);
    }
    memory
}

/// `cabi_realloc`: memory for what the host passes.
///
/// # Safety
/// `old` must be null or come from here, with this size and alignment.
pub unsafe fn allocate(old: *mut u8, old_size: usize, alignment: usize, size: usize) -> *mut u8 {
    if size == 0 {
        return alignment as *mut u8;
    }
    let layout = |size| Layout::from_size_align(size, alignment).expect("an alignment is a power of two");
    let start = match old_size {
        0 => alloc(layout(size)),
        _ => realloc(old, layout(old_size), size),
    };
    if start.is_null() {
        handle_alloc_error(layout(size));
    }
    start
}

/// # Safety
/// The arguments must be the host's.
pub unsafe fn init<P: Program>(
    params: *const [Str; 2],
    param_count: usize,
    sources: *const AbiSource,
    source_count: usize,
    level: u32,
) -> *const PlanResult {
    leave_words_of_panics();
    log::set_level(level as u8);
    let params = List { start: params, length: param_count }.keep();
    let sources = List { start: sources, length: source_count }.keep();
    let params = params.iter().map(|[key, value]| (key.text(), value.text())).collect();
    let init = Init::new(params, sources.iter().map(|source| read_source(source)).collect());
    let shared = init.shared.clone();
    let result = match Runtime::<P>::start(init) {
        Ok(runtime) => {
            MODULE.with(|module| module.replace(Some(Box::new(runtime))));
            plan_result(&shared.plan.borrow())
        }
        Err(error) => {
            let text = Str::leak_text(&error.to_string());
            let columns = List { start: text.start.cast(), length: text.length };
            PlanResult { case: 1, columns, reads: List::EMPTY, emits: List::EMPTY, tick_ms: 0 }
        }
    };
    Box::leak(Box::new(result))
}

unsafe fn read_source(source: &AbiSource) -> HostSource {
    let fields = source.fields.keep().iter().map(|field| read_field(field)).collect();
    HostSource { id: source.id, name: source.name.text(), fields }
}

unsafe fn read_field(field: &AbiField) -> HostField {
    HostField {
        name: field.name.text(),
        kind: Kind(field.kind),
        length: field.length,
        place: match field.place {
            0 => Place::Fixed,
            1 => Place::Tail,
            _ => Place::Column,
        },
        offset: field.offset,
        size: field.size,
        annotations: field.annotations.keep().iter().map(|[key, value]| (key.text(), value.text())).collect(),
    }
}

fn plan_result(plan: &Plan) -> PlanResult {
    let column =
        |(source, field): &(u32, PlannedField)| AbiColumn { source: *source, field: new_field(field) };
    PlanResult {
        case: 0,
        columns: List::leak(plan.columns.iter().map(column)),
        reads: List::leak(plan.reads.iter().map(|&(source, field)| [source, field])),
        emits: List::leak(plan.emits.iter().map(|source| AbiNewSource {
            name: Str::leak_text(&source.name),
            fields: List::leak(source.fields.iter().map(new_field)),
        })),
        tick_ms: plan.tick_ms,
    }
}

fn new_field(field: &PlannedField) -> AbiNewField {
    let pair = |(key, value): &(String, String)| [Str::leak_text(key), Str::leak_text(value)];
    AbiNewField {
        name: Str::leak_text(&field.name),
        kind: field.kind.0,
        length: field.length,
        tags: List::leak(field.tags.iter().map(|tag| Str::leak_text(tag))),
        annotations: List::leak(field.annotations.iter().map(pair)),
    }
}

/// # Safety
/// The arguments must be the host's.
pub unsafe fn select(used: *const u8, count: usize) {
    let used = List { start: used, length: count }.take();
    MODULE.with(|module| {
        if let Some(module) = &mut *module.borrow_mut() {
            module.select(&used);
        }
    });
}

/// # Safety
/// The arguments must be the host's.
pub unsafe fn process(source: u32, count: usize, batch: *const u8, size: usize) -> *const BytesResult {
    let batch = List { start: batch, length: size }.take();
    answer(|module| module.process(source, count, &batch))
}

pub fn tick(now_ns: u64) -> *const BytesResult {
    answer(|module| module.tick(now_ns))
}

pub fn finish() -> *const BytesResult {
    answer(|module| module.finish())
}

fn answer(call: impl FnOnce(&mut dyn Module) -> Result<&[u8]>) -> *const BytesResult {
    let result = MODULE.with(|module| match &mut *module.borrow_mut() {
        None => BytesResult { case: 0, bytes: List::EMPTY },
        Some(module) => match call(module.as_mut()) {
            Ok(patch) => BytesResult { case: 0, bytes: List::of(patch) },
            Err(error) => FAILURE.with(|failure| {
                failure.replace(error.to_string());
                BytesResult { case: 1, bytes: List::of(failure.borrow().as_bytes()) }
            }),
        },
    });
    ANSWER.with(|answer| {
        answer.set(result);
        answer.as_ptr()
    })
}

/// Makes a module of a type that implements [`Program`].
#[macro_export]
macro_rules! program {
    ($program:ty) => {
        const _: () = {
            use $crate::abi;

            #[export_name = "cabi_realloc"]
            unsafe extern "C" fn allocate(
                old: *mut u8,
                old_size: usize,
                alignment: usize,
                size: usize,
            ) -> *mut u8 {
                abi::allocate(old, old_size, alignment, size)
            }

            #[export_name = "ig:post-processor/processor@1.0.0#init"]
            unsafe extern "C" fn init(
                params: *const [abi::Str; 2],
                param_count: usize,
                sources: *const abi::AbiSource,
                source_count: usize,
                level: u32,
            ) -> *const abi::PlanResult {
                abi::init::<$program>(params, param_count, sources, source_count, level)
            }

            #[export_name = "ig:post-processor/processor@1.0.0#select"]
            unsafe extern "C" fn select(used: *const u8, count: usize) {
                abi::select(used, count)
            }

            #[export_name = "ig:post-processor/processor@1.0.0#process"]
            unsafe extern "C" fn process(
                source: u32,
                count: usize,
                batch: *const u8,
                size: usize,
            ) -> *const abi::BytesResult {
                abi::process(source, count, batch, size)
            }

            #[export_name = "ig:post-processor/processor@1.0.0#tick"]
            extern "C" fn tick(now_ns: u64) -> *const abi::BytesResult {
                abi::tick(now_ns)
            }

            #[export_name = "ig:post-processor/processor@1.0.0#finish"]
            extern "C" fn finish() -> *const abi::BytesResult {
                abi::finish()
            }
        };
    };
}
