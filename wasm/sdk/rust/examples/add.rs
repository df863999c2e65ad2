// Adds to each exec the directory of the file, and how deep it is.

use ig::{Action, Column, Event, Field, Init, NewField, Output, Program, Result, Text};

struct Directories {
    filename: Field<Text>,
    directory: Column<Text>,
    depth: Column<u32>,
}

impl Program for Directories {
    fn init(init: &Init) -> Result<Self> {
        let exec = init.source("exec")?;
        let directory = NewField::new("directory").description("Directory of the file given to exec");
        let depth = NewField::new("depth")
            .description("Number of slashes in its path")
            .annotation("columns.width", "5");
        Ok(Directories {
            filename: exec.field("filename")?,
            directory: exec.add(directory),
            depth: exec.add(depth),
        })
    }

    fn event(&mut self, event: &mut Event, _out: &mut Output) -> Result<Action> {
        let filename = event.get(self.filename).unwrap_or_default();
        let is_slash = |byte: &u8| *byte == b'/';
        // No slash, no directory; a file in the root directory is in "/".
        let directory = filename.iter().rposition(is_slash).map(|last| &filename[..last.max(1)]);
        event.set(self.directory, directory);
        event.set(self.depth, filename.iter().filter(|byte| is_slash(byte)).count() as u32);
        Ok(Action::Keep)
    }
}

ig::program!(Directories);
