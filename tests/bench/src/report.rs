//! What is told: tables on standard output, as Markdown, and a plot.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::load::Outcome;

/// One line of the table of loads.
pub(crate) struct Row {
    endpoint: &'static str,
    connections: usize,
    name: &'static str,
    per_second: f64,
    median: Duration,
    tail: Duration,
    errors: usize,
}

impl Row {
    /// Of several rounds: the median of the rates, and percentiles over all requests.
    pub(crate) fn new(
        endpoint: &'static str,
        connections: usize,
        name: &'static str,
        rounds: &[Outcome],
    ) -> Self {
        let mut rates: Vec<f64> = rounds.iter().map(Outcome::per_second).collect();
        rates.sort_by(f64::total_cmp);
        let all = Outcome {
            latencies: rounds.iter().flat_map(|round| round.latencies.iter().copied()).collect(),
            ..Outcome::default()
        };
        Self {
            endpoint,
            connections,
            name,
            per_second: rates[rates.len() / 2],
            median: all.percentile(50),
            tail: all.percentile(99),
            errors: rounds.iter().map(|round| round.errors).sum(),
        }
    }
}

/// Prints the rows, each beside its ratio to (b), or to (a) where there is no (b).
pub(crate) fn table(rows: &[Row]) {
    println!(
        "| endpoint | connections | | requests/s | p50 | p99 | errors | requests/s, p50 of luoyun-api to it |"
    );
    println!("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |");
    for row in rows {
        let ours = rows.iter().find(|ours| {
            (ours.endpoint, ours.connections) == (row.endpoint, row.connections)
                && ours.name == "luoyun-api"
        });
        let ratios = match ours {
            Some(ours) if ours.name != row.name => {
                let (rate, median) =
                    (ours.per_second / row.per_second, ratio(ours.median, row.median));
                format!("{rate:.2}, {median:.2}")
            }
            _ => String::new(),
        };
        println!(
            "| {} | {} | {} | {:.0} | {} | {} | {} | {ratios} |",
            row.endpoint,
            row.connections,
            row.name,
            row.per_second,
            milliseconds(row.median),
            milliseconds(row.tail),
            row.errors,
        );
    }
    println!();
}

/// One kind of request, over the sizes.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) medians: Vec<Duration>,
}

/// Prints the medians, and the last of a line against its first.
pub(crate) fn growth(heads: &[String], last_to_first: &str, lines: &[Line]) {
    println!("| p50 at 1 connection | {} | {last_to_first} |", heads.join(" | "));
    println!("| --- |{} ---: |", " ---: |".repeat(heads.len()));
    for line in lines {
        let cells: Vec<String> = line.medians.iter().map(|median| milliseconds(*median)).collect();
        let (first, last) = (line.medians[0], line.medians[line.medians.len() - 1]);
        println!("| {} | {} | {:.2} |", line.name, cells.join(" | "), ratio(last, first));
    }
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

/// Writes the plot: the medians over the sizes, an SVG file.
pub(crate) fn plot(sizes: &[u32], lines: &[Line], svg: &Path) -> Result<()> {
    if let Some(folder) = svg.parent() {
        std::fs::create_dir_all(folder)?;
    }
    draw(sizes, lines, svg).map_err(|cause| anyhow!("draw {}: {cause}", svg.display()))
}

fn draw(sizes: &[u32], lines: &[Line], svg: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let colors = [&BLUE, &GREEN, &RED, &BLACK];
    let milliseconds = |time: &Duration| time.as_secs_f64() * 1000.0;
    let highest = lines.iter().flat_map(|line| &line.medians).map(milliseconds);
    let highest = highest.fold(0.0, f64::max);

    let area = SVGBackend::new(svg, (720, 400)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .margin_right(36)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(
            (f64::from(sizes[0])..f64::from(sizes[sizes.len() - 1])).log_scale(),
            0.0..highest * 1.15,
        )?;
    chart
        .configure_mesh()
        .x_desc("instances (a tenth of them the caller's), and as many users and sessions")
        .y_desc("median latency on one connection, ms")
        .x_label_formatter(&|size| format!("{size:.0}"))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (line, color) in lines.iter().zip(colors) {
        let points: Vec<_> = sizes
            .iter()
            .zip(&line.medians)
            .map(|(&size, median)| (f64::from(size), milliseconds(median)))
            .collect();
        let dots = points.iter().map(|&point| Circle::new(point, 3, color.filled()));
        chart.draw_series(dots)?;
        chart
            .draw_series(LineSeries::new(points.clone(), color))?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::MiddleLeft)
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}
