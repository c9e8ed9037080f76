//! What is compared, in which shape.

use super::Options;
use crate::Result;
use crate::idle;
use crate::job::{
    copy::COPY, core_to_core::CORE_TO_CORE, log::LOG, lookup, random_reads, shared, small_files::SMALL_FILES,
};
use crate::process::load::Shape;
use crate::workload::{CHURN, ECHO, FILES, FRAMED, HTTP, KV, PROXY, Workload};

/// The workloads that are asked for, or the four of the README, each once.
pub(super) fn brief(options: &Options) -> Result<Vec<Shape>> {
    let workloads = if options.workload.is_empty() {
        vec![&ECHO, &FRAMED, &SMALL_FILES, &LOG]
    } else {
        let named = options.workload.iter().map(|name| Workload::find(name));
        named.collect::<Result<_>>()?
    };
    Ok(workloads.into_iter().map(|workload| options.adapt(Shape::of(workload))).collect())
}

/// Every workload, or those that are asked for, in all the shapes that tell something.
pub(super) fn full(options: &Options) -> Result<Vec<Shape>> {
    for name in options.workload.iter().filter(|name| *name != idle::NAME) {
        Workload::find(name)?;
    }
    let all = [
        echo(1, 1),
        echo(16, 1),
        echo(64, 1),
        echo(512, 1),
        echo(64, 16),
        Shape::of(&FRAMED),
        Shape::of(&HTTP),
        Shape { pipeline: 16, ..Shape::of(&HTTP) },
        Shape::of(&CHURN),
        Shape::of(&KV),
        Shape { pipeline: 16, ..Shape::of(&KV) },
        Shape::of(&FILES),
        Shape { size: 1 << 20, ..Shape::of(&FILES) },
        Shape::of(&PROXY),
        Shape { size: 16 << 10, ..Shape::of(&PROXY) },
        Shape::of(&COPY),
        Shape::of(&SMALL_FILES),
        wide(&random_reads::CACHED, 1),
        wide(&random_reads::CACHED, 64),
        wide(&random_reads::DIRECT, 1),
        wide(&random_reads::DIRECT, 64),
        wide(&lookup::CACHED, 1),
        wide(&lookup::CACHED, 64),
        wide(&lookup::DIRECT, 1),
        wide(&lookup::DIRECT, 64),
        wide(&LOG, 1),
        wide(&LOG, 16),
        wide(&LOG, 64),
        wide(&crate::job::executor::NOP, 1),
        wide(&crate::job::executor::NOP, 64),
        Shape::of(&crate::job::executor::SPAWN),
        Shape::of(&crate::job::executor::TIMERS),
        wide(&CORE_TO_CORE, 1),
        wide(&CORE_TO_CORE, 64),
        Shape::of(&shared::COUNTER),
        Shape::of(&shared::COUNTER_OF_TWO),
        Shape::of(&shared::LOG),
        Shape::of(&shared::LOG_OF_TWO),
    ];
    let wanted = |shape: &Shape| {
        options.workload.is_empty() || options.workload.iter().any(|name| name == shape.workload.name)
    };
    let mut shapes: Vec<Shape> = Vec::new();
    for shape in all.into_iter().filter(wanted).map(|shape| options.adapt(shape)) {
        // What was asked for can make two of them the same.
        if !shapes.contains(&shape) {
            shapes.push(shape);
        }
    }
    Ok(shapes)
}

fn echo(connections: u32, pipeline: u32) -> Shape {
    Shape { connections, pipeline, ..Shape::of(&ECHO) }
}

fn wide(workload: &'static Workload, connections: u32) -> Shape {
    Shape { connections, ..Shape::of(workload) }
}

impl Options {
    /// With what the command line says about it.
    fn adapt(&self, shape: Shape) -> Shape {
        Shape {
            workload: shape.workload,
            connections: self.connections.unwrap_or(shape.connections),
            size: self.size.unwrap_or(shape.size),
            pipeline: self.pipeline.unwrap_or(shape.pipeline),
        }
    }
}
