// The program that wasm/sdk/conformance.test.ts runs in every language: it uses everything once.

use ig::{
    debug, fail, info, Action, Bytes, Column, Event, Field, Init, NewSource, Output, Program, Result, Text,
    TextList,
};
use std::time::Duration;

/// A field, and the one that repeats it.
struct Echo<T> {
    field: Field<T>,
    column: Column<T>,
}

struct Conformance {
    b: Echo<bool>,
    s8: Echo<i8>,
    s16: Echo<i16>,
    s32: Echo<i32>,
    s64: Echo<i64>,
    u8: Echo<u8>,
    u16: Echo<u16>,
    u32: Echo<u32>,
    u64: Echo<u64>,
    f32: Echo<f32>,
    f64: Echo<f64>,
    c: Echo<Text>,
    t: Echo<Text>,
    y: Echo<Bytes>,
    l: Echo<TextList>,
    a: Echo<[u32; 4]>,
    m: Echo<u32>,
    x: Echo<Text>,
    n: Echo<i64>,
    missing: Option<Field<u32>>,
    exists: Column<bool>,
    next_u16: Column<u16>,
    alerts: Alerts,
}

struct Alerts {
    source: NewSource,
    text: Column<Text>,
    u64: Column<u64>,
    flag: Column<bool>,
    list: Column<TextList>,
    a: Column<[u32; 4]>,
}

macro_rules! echo {
    ($source:ident, $name:literal) => {
        Echo { field: $source.field($name)?, column: $source.add(concat!("out.", $name)) }
    };
}

impl Program for Conformance {
    fn init(init: &Init) -> Result<Self> {
        let reason = init.param("fail-init");
        if !reason.is_empty() {
            fail!("{reason}");
        }
        init.tick_every(Duration::from_millis(100));
        let all = init.source("all")?;
        Ok(Conformance {
            b: echo!(all, "b"),
            s8: echo!(all, "s8"),
            s16: echo!(all, "s16"),
            s32: echo!(all, "s32"),
            s64: echo!(all, "s64"),
            u8: echo!(all, "u8"),
            u16: echo!(all, "u16"),
            u32: echo!(all, "u32"),
            u64: echo!(all, "u64"),
            f32: echo!(all, "f32"),
            f64: echo!(all, "f64"),
            c: echo!(all, "c"),
            t: echo!(all, "t"),
            y: echo!(all, "y"),
            l: echo!(all, "l"),
            a: echo!(all, "a"),
            m: echo!(all, "m"),
            x: echo!(all, "x"),
            n: echo!(all, "n"),
            missing: all.optional("missing")?,
            exists: all.add("out.exists"),
            next_u16: all.add("u16"),
            alerts: Alerts::new(init),
        })
    }

    fn event(&mut self, event: &mut Event, out: &mut Output) -> Result<Action> {
        let code = event.get(self.u8.field);
        match code {
            Some(13) => fail!("told to fail"),
            Some(255) => return Ok(Action::Drop),
            _ => self.echo(event),
        }
        match code {
            Some(7) => debug!("row {}", event.get(self.u32.field).unwrap_or_default()),
            Some(42) => self.alert(event, out),
            _ => {}
        }
        Ok(Action::Keep)
    }

    fn tick(&mut self, now_ns: u64, out: &mut Output) -> Result {
        out.emit(&self.alerts.source).set(self.alerts.text, format_args!("tick {now_ns}"));
        Ok(())
    }

    fn finish(&mut self, out: &mut Output) -> Result {
        out.emit(&self.alerts.source).set(self.alerts.text, "end");
        info!("bye");
        Ok(())
    }
}

impl Conformance {
    fn echo(&self, event: &mut Event) {
        event.set(self.b.column, event.get(self.b.field));
        event.set(self.s8.column, event.get(self.s8.field));
        event.set(self.s16.column, event.get(self.s16.field));
        event.set(self.s32.column, event.get(self.s32.field));
        event.set(self.s64.column, event.get(self.s64.field));
        event.set(self.u8.column, event.get(self.u8.field));
        event.set(self.u16.column, event.get(self.u16.field));
        event.set(self.u32.column, event.get(self.u32.field));
        event.set(self.u64.column, event.get(self.u64.field));
        event.set(self.f32.column, event.get(self.f32.field));
        event.set(self.f64.column, event.get(self.f64.field));
        event.set(self.c.column, event.get(self.c.field));
        event.set(self.t.column, event.get(self.t.field));
        event.set(self.y.column, event.get(self.y.field));
        event.set(self.l.column, event.get(self.l.field));
        event.set(self.a.column, event.get(self.a.field));
        event.set(self.m.column, event.get(self.m.field));
        event.set(self.x.column, event.get(self.x.field));
        event.set(self.n.column, event.get(self.n.field));
        event.set(self.exists, self.missing.is_some());
        event.set(self.next_u16, event.get(self.u16.field).map(|value| value.wrapping_add(1)));
    }

    fn alert(&self, event: &Event, out: &mut Output) {
        out.emit(&self.alerts.source)
            .set(self.alerts.text, event.get(self.t.field))
            .set(self.alerts.u64, event.get(self.u64.field))
            .set(self.alerts.flag, event.get(self.b.field))
            .set(self.alerts.list, event.get(self.l.field))
            .set(self.alerts.a, event.get(self.a.field));
    }
}

impl Alerts {
    fn new(init: &Init) -> Self {
        let source = init.new_source("alerts");
        let alerts = Alerts {
            text: source.add("text"),
            u64: source.add("u64"),
            flag: source.add("flag"),
            list: source.add("list"),
            a: source.add("a"),
            source,
        };
        let _never: Column<u8> = alerts.source.add("never");
        alerts
    }
}

ig::program!(Conformance);
