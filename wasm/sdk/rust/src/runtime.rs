//! The life of a module: runs its program over batches.

use crate::column::Buffer;
use crate::event::Event;
use crate::field::{read_trailer, u32_at};
use crate::init::{Init, Shared};
use crate::output::Output;
use crate::patch::Patch;
use crate::{Action, Program, Result};
use std::rc::Rc;

/// A running module, whatever its program.
pub trait Module {
    fn select(&mut self, used: &[u8]);
    fn process(&mut self, source: u32, count: usize, batch: &[u8]) -> Result<&[u8]>;
    fn tick(&mut self, now_ns: u64) -> Result<&[u8]>;
    fn finish(&mut self) -> Result<&[u8]>;
}

pub struct Runtime<P> {
    program: P,
    shared: Rc<Shared>,
    /// The new fields of all sources, as the plan has them.
    columns: Vec<Buffer>,
    keep: Vec<u8>,
    out: Output,
    patch: Patch,
}

impl<P: Program> Runtime<P> {
    pub fn start(init: Init) -> Result<Self> {
        let program = P::init(&init)?;
        let shared = init.shared;
        let plan = shared.plan.borrow();
        let columns = plan.columns.iter().map(|(source, field)| Buffer::new(*source, field.width)).collect();
        let out = Output::new(&plan.emits);
        drop(plan);
        Ok(Runtime { program, shared, columns, keep: vec![], out, patch: Patch::default() })
    }

    /// Shows the program every record that is still there; `keep` says what became of each.
    fn run(&mut self, source: u32, count: usize, batch: &[u8]) -> Result {
        let (kept, reads) = read_trailer(batch, count).ok_or("the host sent a batch that is cut off")?;
        let mut start = u32_at(batch, 0).unwrap_or(0);
        for row in 0..count {
            let end = u32_at(batch, 4 * row + 4).unwrap_or(start);
            let record = batch.get(start as usize..end as usize).unwrap_or_default();
            start = end;
            let columns = &mut self.columns;
            let mut event = Event { source, record, row, reads: &reads, columns };
            if kept.get(row) == Some(&0) || self.program.event(&mut event, &mut self.out)? == Action::Drop {
                self.keep[row] = 0;
            }
        }
        Ok(())
    }
}

impl<P: Program> Module for Runtime<P> {
    fn select(&mut self, used: &[u8]) {
        for (column, &used) in self.columns.iter_mut().zip(used) {
            column.wanted = used != 0;
        }
    }

    fn process(&mut self, source: u32, count: usize, batch: &[u8]) -> Result<&[u8]> {
        if !self.shared.used.borrow().contains(&source) {
            return Ok(&[]);
        }
        self.columns.iter_mut().for_each(Buffer::clear);
        self.keep.clear();
        self.keep.resize(count, 1);
        self.run(source, count, batch)?;
        let keep: &[u8] = if self.keep.contains(&0) { &self.keep } else { &[] };
        Ok(self.patch.of_batch(source, count, keep, &mut self.columns, &mut self.out))
    }

    fn tick(&mut self, now_ns: u64) -> Result<&[u8]> {
        self.program.tick(now_ns, &mut self.out)?;
        Ok(self.patch.of_output(&mut self.out))
    }

    fn finish(&mut self) -> Result<&[u8]> {
        self.program.finish(&mut self.out)?;
        Ok(self.patch.of_output(&mut self.out))
    }
}
