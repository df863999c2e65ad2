// Leaves out commands by their name, and adds the directory of the file that was executed.

use ig::{Action, Column, Event, Field, Init, NewField, Output, Program, Result, Text};

// What is kept from one event to the next.
struct Commands {
    hidden: &'static str,
    comm: Field<Text>,
    filename: Field<Text>,
    directory: Column<Text>,
}

impl Program for Commands {
    // Once, before the first event: what is read and what is added, by name.
    fn init(init: &Init) -> Result<Self> {
        let exec = init.source("exec")?;
        let directory = NewField::new("directory").description("The directory of the file that was executed");
        Ok(Commands {
            hidden: init.param("hide"),
            comm: exec.field("proc.comm")?,
            filename: exec.field("filename")?,
            directory: exec.add(directory),
        })
    }

    // For every event.
    fn event(&mut self, event: &mut Event, _out: &mut Output) -> Result<Action> {
        let comm = event.get(self.comm).unwrap_or_default(); // a view of the event: nothing is copied
        if !self.hidden.is_empty() && comm.starts_with(self.hidden.as_bytes()) {
            return Ok(Action::Drop);
        }
        let filename = event.get(self.filename).unwrap_or_default();
        // No slash, no directory; a file in the root directory is in "/".
        let directory = filename.iter().rposition(|byte| *byte == b'/').map(|last| &filename[..last.max(1)]);
        event.set(self.directory, directory);
        Ok(Action::Keep)
    }
}

ig::program!(Commands);
