// Leaves out the commands whose name starts with a prefix.

use ig::{fail, Action, Event, Field, Init, Output, Program, Result, Text};

struct LeaveOut {
    prefix: &'static str,
    comm: Field<Text>,
}

impl Program for LeaveOut {
    fn init(init: &Init) -> Result<Self> {
        let prefix = init.param("prefix");
        if prefix.is_empty() {
            fail!("parameter prefix is empty: name the commands to leave out");
        }
        let comm = init.source("exec")?.field("proc.comm")?;
        Ok(LeaveOut { prefix, comm })
    }

    fn event(&mut self, event: &mut Event, _out: &mut Output) -> Result<Action> {
        let comm = event.get(self.comm).unwrap_or_default();
        Ok(if comm.starts_with(self.prefix.as_bytes()) { Action::Drop } else { Action::Keep })
    }
}

ig::program!(LeaveOut);
