// Tables of several data sources in one output: whenever it is another one's turn, its name and header stand first.

import type { ByteWriter } from './byte-writer.js';
import { writeVisibleText } from './escape.js';
import type { Output } from './output.js';

const NEWLINE = 0x0a;
const COLON = 0x3a;

export class Turns {
  /** The table that was written to last. */
  private current: Output | undefined;

  /** A table like `table`, of the data source `name`, that takes turns with the others. */
  add(name: string, table: Output): Output {
    const title = Buffer.from(name);
    const begin = (writer: ByteWriter): void => {
      writeVisibleText(writer, title, 0, title.length);
      writer.byte(COLON);
      writer.byte(NEWLINE);
      table.header(writer);
    };
    return {
      ...table,
      // A sign of life before the first event; the others' headers would only be in the way.
      header: (writer) => {
        if (this.current !== undefined) return;
        begin(writer);
        this.current = table;
      },
      write: (batch, writer, rows) => {
        if (this.current === table) return table.write(batch, writer, rows);
        const start = writer.position;
        writer.byte(NEWLINE);
        begin(writer);
        const written = table.write(batch, writer, rows);
        if (written > 0) this.current = table;
        else writer.position = start;
        return written;
      },
    };
  }
}
