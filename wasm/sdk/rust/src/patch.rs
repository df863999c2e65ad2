//! Writes the patch that answers a batch. Its layout is in wasm/wit/README.md.

use crate::column::Buffer;
use crate::log;
use crate::output::{Emitted, Output};

const VERSION: u32 = 1;
const HEADER_SIZE: usize = 24;
const ENTRY_SIZE: usize = 12;
const BLOCK_EVENTS_MAX: usize = 2048;

/// A patch, its memory kept from batch to batch.
#[derive(Default)]
pub struct Patch {
    bytes: Vec<u8>,
}

impl Patch {
    /// A patch for `count` records of `source`. `keep` is empty when all are kept.
    pub fn of_batch(
        &mut self,
        source: u32,
        count: usize,
        keep: &[u8],
        columns: &mut [Buffer],
        out: &mut Output,
    ) -> &[u8] {
        self.begin(count, columns.len());
        if !keep.is_empty() {
            let at = self.append(1, keep);
            self.put(8, at);
        }
        for (c, column) in columns.iter_mut().enumerate() {
            if column.owner == source && !column.defined.is_empty() {
                column.set_rows(count);
                self.column(HEADER_SIZE + ENTRY_SIZE * c, column, 0, count);
            }
        }
        self.end(out)
    }

    /// A patch without records.
    pub fn of_output(&mut self, out: &mut Output) -> &[u8] {
        self.begin(0, 0);
        self.end(out)
    }

    fn begin(&mut self, count: usize, columns: usize) {
        self.bytes.clear();
        self.zeros(HEADER_SIZE + ENTRY_SIZE * columns);
        self.put(0, VERSION);
        self.put(4, count as u32);
        self.put(12, columns as u32);
    }

    fn end(&mut self, out: &mut Output) -> &[u8] {
        if out.sources.iter().any(|source| source.count > 0) {
            let at = self.emitted(&mut out.sources);
            self.put(16, at);
        }
        log::take(|lines| {
            let at = self.log(lines);
            self.put(20, at);
        });
        &self.bytes
    }

    /// Writes rows `from..to` of a column, and where they are.
    fn column(&mut self, entry: usize, column: &Buffer, from: usize, to: usize) {
        let defined = &column.defined[from..to];
        if defined.iter().all(|&byte| byte == 0) {
            return;
        }
        let at = if column.width > 0 {
            self.append(8, &column.values[from * column.width..to * column.width])
        } else {
            self.varied(column, from, to)
        };
        self.put(entry, at);
        self.put(entry + 4, self.bytes.len() as u32 - at);
        if !defined.iter().all(|&byte| byte == 1) {
            let at = self.append(1, defined);
            self.put(entry + 8, at);
        }
    }

    /// Writes values that differ in size: offsets, then bytes.
    fn varied(&mut self, column: &Buffer, from: usize, to: usize) -> u32 {
        let start = if from == 0 { 0 } else { column.ends[from - 1] };
        let at = self.append(8, &0u32.to_le_bytes());
        for end in &column.ends[from..to] {
            self.bytes.extend_from_slice(&(end - start).to_le_bytes());
        }
        self.bytes.extend_from_slice(&column.values[start as usize..column.ends[to - 1] as usize]);
        at
    }

    /// Writes what was emitted, and forgets it.
    fn emitted(&mut self, sources: &mut [Emitted]) -> u32 {
        let at = self.append(8, &[0; 8]);
        let mut blocks = 0;
        for (number, source) in sources.iter_mut().enumerate() {
            source.columns.iter_mut().for_each(|column| column.set_rows(source.count));
            for from in (0..source.count).step_by(BLOCK_EVENTS_MAX) {
                self.block(number, source, from, source.count.min(from + BLOCK_EVENTS_MAX));
                blocks += 1;
            }
            source.columns.iter_mut().for_each(Buffer::clear);
            source.count = 0;
        }
        self.put(at as usize, blocks);
        at
    }

    fn block(&mut self, number: usize, source: &Emitted, from: usize, to: usize) {
        self.align(8);
        let at = self.bytes.len();
        self.zeros(8 + ENTRY_SIZE * source.columns.len());
        self.put(at, number as u32);
        self.put(at + 4, (to - from) as u32);
        for (f, column) in source.columns.iter().enumerate() {
            self.column(at + 8 + ENTRY_SIZE * f, column, from, to);
        }
    }

    fn log(&mut self, lines: &log::Lines) -> u32 {
        let at = self.append(4, &(lines.ends.len() as u32).to_le_bytes());
        self.zeros(12 * lines.ends.len());
        let text = self.append(1, &lines.text);
        let mut start = 0;
        for (i, &(level, end)) in lines.ends.iter().enumerate() {
            let line = at as usize + 4 + 12 * i;
            self.put(line, level as u32);
            self.put(line + 4, text + start as u32);
            self.put(line + 8, (end - start) as u32);
            start = end;
        }
        at
    }

    /// Appends bytes behind as many zeros as it takes. Returns their position.
    fn append(&mut self, alignment: usize, bytes: &[u8]) -> u32 {
        self.align(alignment);
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        at
    }

    fn align(&mut self, alignment: usize) {
        let size = self.bytes.len();
        self.zeros(size.wrapping_neg() & (alignment - 1));
    }

    fn zeros(&mut self, size: usize) {
        self.bytes.resize(self.bytes.len() + size, 0);
    }

    fn put(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
}
