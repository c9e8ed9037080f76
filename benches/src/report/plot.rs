//! The plots, each a picture with a line for every competitor: chainring in blue, tokio in orange, loops by hand in grey,
//! the others in green. The names stand to the left, the axis below, and a competitor that has failed says so in its line.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::case::{Case, Row, Summary};
use crate::Result;
use crate::table::grouped;

/// Pixels.
const WIDTH: u32 = 620;
const LINE: u32 = 26;
const NAMES: u32 = 150;
const TITLE: u32 = 34;
const AXIS: u32 = 34;
const MARGIN_RIGHT: u32 = 70;

const INK: RGBColor = RGBColor(0x22, 0x26, 0x2b);
const FAINT: RGBColor = RGBColor(0xd9, 0xdd, 0xe2);
const RED: RGBColor = RGBColor(0xb4, 0x23, 0x18);
const CHAINS: RGBColor = RGBColor(0x0f, 0x3d, 0x91);
const AWAITED: RGBColor = RGBColor(0x2d, 0x82, 0xd8);
const TOKIO: RGBColor = RGBColor(0xd9, 0x6c, 0x06);
const BY_HAND: RGBColor = RGBColor(0x6b, 0x72, 0x7c);
const OTHERS: RGBColor = RGBColor(0x2b, 0x8a, 0x5f);

/// The percentiles' colours, from dark to light.
const PERCENTILES: [(&str, RGBColor); 3] = [
    ("p50", RGBColor(0x0b, 0x3c, 0x7d)),
    ("p99", RGBColor(0x2b, 0x8a, 0xc6)),
    ("p99.9", RGBColor(0xe0, 0x8e, 0x0b)),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b, X> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, plotters::coord::types::RangedCoordf64>>;

/// Throughput in relation to the first reference, with intervals.
pub(super) fn throughput(case: &Case) -> Result<Option<String>> {
    let Some(reference) = case.references.first() else { return Ok(None) };
    let ratio = |summary: &Summary| summary.to(reference).map(|against| against.requests_per_second);
    let ratios: Vec<_> = case.competitors.iter().map(|row| row.summary.as_ref().and_then(ratio)).collect();
    let finite = |end: f64, estimate: f64| if end.is_finite() && end > 0.0 { end } else { estimate };
    let ends = ratios.iter().flatten().flat_map(|ratio| {
        [finite(ratio.low, ratio.estimate), ratio.estimate, finite(ratio.high, ratio.estimate)]
    });
    let (low, high) = ends.fold((1.0_f64, 1.0_f64), |(low, high), end| (low.min(end), high.max(end)));
    // A wide interval must not squeeze all others: what lies beyond is cut off at the edge.
    let estimates: Vec<f64> = ratios.iter().flatten().map(|ratio| ratio.estimate).collect();
    let (least, most) =
        estimates.iter().fold((1.0_f64, 1.0_f64), |(least, most), &at| (least.min(at), most.max(at)));
    let range = logarithmic(low.max(least / 2.0) * 0.93, high.min(most * 2.0) * 1.07);
    let title = format!("Throughput, {reference} = 1, with 95 % intervals (logarithmic axis)");
    let picture = picture(
        case,
        Words { title: &title, ..Words::default() },
        range,
        |row| (row.summary.is_none()).then_some("failed"),
        |chart| {
            chart.draw_series([PathElement::new(
                [(1.0, 0.0), (1.0, case.competitors.len() as f64)],
                INK.mix(0.5),
            )])?;
            for (line, ratio) in ratios.iter().enumerate() {
                let Some(ratio) = ratio else { continue };
                let (y, colour) = (middle(case, line), colour(&case.competitors[line]));
                let (low, high) = (finite(ratio.low, ratio.estimate), finite(ratio.high, ratio.estimate));
                chart.draw_series([PathElement::new([(low, y), (high, y)], colour.stroke_width(2))])?;
                for end in [low, high] {
                    let tick = [(end, y - 0.16), (end, y + 0.16)];
                    chart.draw_series([PathElement::new(tick, colour.stroke_width(2))])?;
                }
                chart.draw_series([Circle::new((ratio.estimate, y), 5, colour.filled())])?;
            }
            Ok(())
        },
        |row| {
            let ratio = row.summary.as_ref().and_then(ratio)?;
            Some(if ratio.resolved || row.name == *reference {
                format!("{:.2}", ratio.estimate)
            } else {
                format!("({:.2})", ratio.estimate)
            })
        },
    )?;
    Ok(Some(picture))
}

/// CPU time of a request.
pub(super) fn cpu(case: &Case) -> Result<Option<String>> {
    bars(case, "CPU time each, ns", |row| Some(row.summary.as_ref()?.cpu_nanos_per_request?.median))
}

/// User-space instructions of a request.
pub(super) fn instructions(case: &Case) -> Result<Option<String>> {
    bars(case, "User-space instructions each", |row| Some(row.instructions_per_request?.median))
}

/// The percentiles of the latency.
pub(super) fn latency(case: &Case) -> Result<Option<String>> {
    let percentiles = |row: &Row| {
        let summary = row.summary.as_ref()?;
        Some(
            [summary.p50_nanos, summary.p99_nanos, summary.p999_nanos]
                .map(|nanos| nanos.median.max(1.0) / 1e3),
        )
    };
    let all: Vec<f64> = case.competitors.iter().filter_map(percentiles).flatten().collect();
    let Some((low, high)) = ends(&all) else { return Ok(None) };
    let range = logarithmic(low * 0.8, high * 1.25);
    let failed = |row: &Row| row.summary.is_none().then_some("failed");
    let picture = picture(
        case,
        Words { title: "Latency, us (logarithmic axis)", legend: &PERCENTILES, behind: "p99" },
        range,
        failed,
        |chart| {
            for (line, row) in case.competitors.iter().enumerate() {
                let Some(points) = percentiles(row) else { continue };
                let y = middle(case, line);
                chart.draw_series([PathElement::new(
                    [(points[0], y), (points[2], y)],
                    FAINT.stroke_width(4),
                )])?;
                for (&x, (_, colour)) in points.iter().zip(&PERCENTILES).rev() {
                    chart.draw_series([Circle::new((x, y), 5, colour.filled())])?;
                }
            }
            Ok(())
        },
        |row| Some(grouped(percentiles(row)?[1])),
    )?;
    Ok(Some(picture))
}

/// A logarithmic axis with ticks at round numbers.
fn logarithmic(low: f64, high: f64) -> impl AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>> {
    (low..high).log_scale().with_key_points(ticks(low, high))
}

/// A few round numbers between two others: as round as they can be if there are to be four.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    const ROUND: [&[f64]; 4] = [
        &[1.0],
        &[1.0, 2.0, 5.0],
        &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
        &[1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0],
    ];
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let within = |tick: &f64| (low..=high).contains(tick);
    for round in ROUND {
        let powers = (first..=last).map(|power| 10.0_f64.powi(power));
        let all = powers.flat_map(|power| round.iter().map(move |number| number * power));
        let ticks: Vec<f64> = all.filter(within).collect();
        if ticks.len() >= 4 {
            return ticks;
        }
    }
    (0..=40).map(|step| 0.8 + f64::from(step) * 0.05).filter(within).collect()
}

fn ends(values: &[f64]) -> Option<(f64, f64)> {
    let ends = values.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), &at| (low.min(at), high.max(at)));
    (ends.1 > 0.0).then_some(ends)
}

/// A bar for every competitor that has a value.
fn bars(case: &Case, title: &str, value: impl Fn(&Row) -> Option<f64>) -> Result<Option<String>> {
    let values: Vec<_> = case.competitors.iter().map(&value).collect();
    let most = values.iter().flatten().fold(0.0_f64, |most, &at| most.max(at));
    if most <= 0.0 {
        return Ok(None);
    }
    let missing = |row: &Row| match &row.failure {
        Some(_) => Some("failed"),
        None => value(row).is_none().then_some("not counted"),
    };
    let picture = picture(
        case,
        Words { title, ..Words::default() },
        0.0..most * 1.02,
        missing,
        |chart| {
            for (line, at) in values.iter().enumerate() {
                let Some(at) = at else { continue };
                let y = middle(case, line);
                let bar = Rectangle::new(
                    [(0.0, y - 0.32), (*at, y + 0.32)],
                    colour(&case.competitors[line]).filled(),
                );
                chart.draw_series([bar])?;
            }
            Ok(())
        },
        |row| value(row).map(grouped),
    )?;
    Ok(Some(picture))
}

/// What stands above a picture.
#[derive(Clone, Copy, Default)]
struct Words<'a> {
    title: &'a str,
    legend: &'a [(&'a str, RGBColor)],
    /// Above what stands behind the lines.
    behind: &'a str,
}

/// The frame that all have in common: title, names, axis; what stands in a line in place of a figure; and what stands
/// behind it.
fn picture<X>(
    case: &Case,
    words: Words<'_>,
    range: X,
    instead: impl Fn(&Row) -> Option<&'static str>,
    draw: impl FnOnce(&mut Chart<'_, '_, X::CoordDescType>) -> Result<()>,
    behind: impl Fn(&Row) -> Option<String>,
) -> Result<String>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let lines = case.competitors.len() as u32;
    let height = TITLE + lines * LINE + AXIS;
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    let error = |error: &dyn std::fmt::Display| format!("cannot draw: {error}");
    root.fill(&WHITE).map_err(|e| error(&e))?;
    write(&root, words.title, (10, 16), 15, INK, HPos::Left)?;
    write(&root, words.behind, ((WIDTH - MARGIN_RIGHT) as i32 + 8, 22), 12, INK, HPos::Left)?;
    for (place, (name, colour)) in words.legend.iter().rev().enumerate() {
        let x = (WIDTH - MARGIN_RIGHT) as i32 - 60 * (place as i32 + 1);
        root.draw(&Circle::new((x, 16), 5, colour.filled())).map_err(|e| error(&e))?;
        write(&root, name, (x + 10, 16), 13, INK, HPos::Left)?;
    }
    let mut chart = ChartBuilder::on(&root)
        .margin_top(TITLE)
        .margin_right(MARGIN_RIGHT)
        .set_label_area_size(LabelAreaPosition::Left, NAMES)
        .set_label_area_size(LabelAreaPosition::Bottom, AXIS)
        .build_cartesian_2d(range, 0.0..f64::from(lines))
        .map_err(|e| error(&e))?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .x_labels(6)
        .x_label_formatter(&axis_label)
        .x_label_style(("sans-serif", 12).into_font().color(&INK))
        .bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .axis_style(BY_HAND)
        .draw()
        .map_err(|e| error(&e))?;
    draw(&mut chart)?;
    drop(chart);
    for (line, row) in case.competitors.iter().enumerate() {
        let y = (TITLE + LINE * line as u32 + LINE / 2) as i32;
        write(&root, &row.name, (NAMES as i32 - 10, y), 13, colour(row), HPos::Right)?;
        if let Some(text) = instead(row) {
            write(&root, text, (NAMES as i32 + 8, y), 13, RED, HPos::Left)?;
        } else if let Some(text) = behind(row) {
            write(&root, &text, ((WIDTH - MARGIN_RIGHT) as i32 + 8, y), 13, INK, HPos::Left)?;
        }
    }
    root.present().map_err(|e| error(&e))?;
    drop(root);
    Ok(svg)
}

fn write(root: &Area<'_>, text: &str, at: (i32, i32), size: i32, colour: RGBColor, side: HPos) -> Result<()> {
    let style = ("sans-serif", size).into_font().color(&colour).pos(Pos::new(side, VPos::Center));
    root.draw_text(text, &style, at).map_err(|error| format!("cannot draw: {error}").into())
}

/// The middle of a line; the first is on top.
fn middle(case: &Case, line: usize) -> f64 {
    (case.competitors.len() - line) as f64 - 0.5
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is that of the formatter")]
fn axis_label(value: &f64) -> String {
    if value.abs() >= 10.0 || *value == 0.0 {
        grouped(*value)
    } else {
        let text = format!("{value:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

fn colour(row: &Row) -> RGBColor {
    match &row.name[..] {
        "chainring-await" | "chainring-pooled" => AWAITED,
        name if name.starts_with("chainring") => CHAINS,
        "tokio" | "tokio-multi" => TOKIO,
        name if name.starts_with("raw") || name == "epoll" || name == "blocking" => BY_HAND,
        _ => OTHERS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::case::tests::example;

    #[test]
    fn every_picture_names_every_competitor() {
        let case = example();
        for draw in [throughput, cpu, latency, instructions] {
            let svg = draw(&case).unwrap().unwrap();
            for row in &case.competitors {
                assert!(svg.contains(&row.name), "{svg}");
            }
            assert!(svg.starts_with("<svg") && svg.contains("failed"), "{svg}");
        }
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let mut case = example();
        case.competitors.retain(|row| row.failure.is_some());
        case.conclude();
        for draw in [throughput, cpu, latency, instructions] {
            assert_eq!(draw(&case).unwrap(), None);
        }
    }
}
