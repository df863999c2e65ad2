// Counts events per container, and emits the counts every few seconds.

use ig::{
    debug, fail, Action, Column, Event, Field, Init, NewField, NewSource, Output, Program, Result, Text,
};
use std::collections::HashMap;
use std::time::Duration;

/// More than these are counted together: memory has an end.
const CONTAINERS_MAX: usize = 1024;

struct Counter {
    mntns_id: Field<u64>,
    container: Option<Field<Text>>,
    reports: NewSource,
    reported_mntns_id: Column<u64>,
    reported_container: Column<Text>,
    reported_count: Column<u64>,
    /// In order of first sight.
    containers: Vec<Container>,
    /// Where each is in `containers`.
    places: HashMap<u64, usize>,
    others: u64,
}

struct Container {
    mntns_id: u64,
    name: Option<Vec<u8>>,
    count: u64,
}

impl Program for Counter {
    fn init(init: &Init) -> Result<Self> {
        init.tick_every(Duration::from_secs(interval_seconds(init.param("interval"))?));
        let exec = init.source("exec")?;
        let reports = init.new_source("exec_counts");
        let mntns_id = NewField::new("mntns_id")
            .description("Mount namespace of the container")
            .tag("type:gadget_mntns_id");
        Ok(Counter {
            mntns_id: exec.field("proc.mntns_id")?,
            container: exec.optional("runtime.containerName")?,
            reported_mntns_id: reports.add(mntns_id),
            reported_container: reports.add("container"),
            reported_count: reports.add("count"),
            reports,
            containers: Vec::new(),
            places: HashMap::new(),
            others: 0,
        })
    }

    fn event(&mut self, event: &mut Event, _out: &mut Output) -> Result<Action> {
        let mntns_id = event.get(self.mntns_id).unwrap_or_default();
        match self.container(mntns_id) {
            None => self.others += 1,
            Some(place) => {
                let container = &mut self.containers[place];
                container.count += 1;
                if let Some(name) = event.get(self.container) {
                    if container.name.as_deref() != Some(name) {
                        container.name = Some(name.to_vec());
                    }
                }
            }
        }
        Ok(Action::Keep)
    }

    fn tick(&mut self, _now_ns: u64, out: &mut Output) -> Result {
        self.report(out);
        Ok(())
    }

    fn finish(&mut self, out: &mut Output) -> Result {
        self.report(out);
        Ok(())
    }
}

fn interval_seconds(text: &str) -> Result<u64> {
    match text {
        "" => Ok(1),
        text => match text.parse() {
            Ok(seconds @ 1..=3600) => Ok(seconds),
            _ => fail!("parameter interval is {text}: it must be a number of seconds from 1 to 3600"),
        },
    }
}

impl Counter {
    /// The place of a container in `containers`; none if there is no more room.
    fn container(&mut self, mntns_id: u64) -> Option<usize> {
        if let Some(&place) = self.places.get(&mntns_id) {
            return Some(place);
        }
        let place = self.containers.len();
        if place == CONTAINERS_MAX {
            return None;
        }
        self.containers.push(Container { mntns_id, name: None, count: 0 });
        self.places.insert(mntns_id, place);
        Some(place)
    }

    fn report(&mut self, out: &mut Output) {
        if self.others > 0 {
            self.containers.push(Container { mntns_id: 0, name: None, count: self.others });
        }
        if self.containers.is_empty() {
            return;
        }
        for container in &self.containers {
            out.emit(&self.reports)
                .set(self.reported_mntns_id, container.mntns_id)
                .set(self.reported_container, container.name.as_deref())
                .set(self.reported_count, container.count);
        }
        debug!("reported {} containers", self.containers.len());
        self.containers.clear();
        self.places.clear();
        self.others = 0;
    }
}

ig::program!(Counter);
