//! What was measured while training: step by step, by layer, and of the machine.

use unspsc_contract::{Profile, Series};

use super::chart::{Chart, Colour, Line, Values};

/// Curves of layers that a chart has room to name.
const MAX_LAYERS: usize = 14;

/// Points of a noisy series that are averaged for the curve to look at, as a share of all.
const SMOOTHED_SHARE: usize = 20;

/// Below so many seconds, time is shown in seconds.
const MINUTES_FROM: f64 = 300.0;

/// Loss, learning rate, gradient and throughput by step; then gradients and updates by layer.
pub(super) fn steps(profile: &Profile) -> String {
    let Profile { steps, gradient_norms, update_ratios, .. } = profile;
    if steps.rows.is_empty() {
        return "<section><h2>Step by step</h2><p>No step was made.</p></section>\n".into();
    }
    let rate = Line { name: "", colour: Colour::Accent, points: steps.points("learning_rate").collect() };
    let charts = [
        noisy("Loss of the batch", steps, "loss", Values::Even(0.1), |value| format!("{value:.1}")),
        by_step("Learning rate", Values::Even(0.0)).draw(&[rate], short),
        noisy("Gradient norm, before clipping", steps, "gradient_norm", Values::Logarithmic, short),
        noisy("Throughput, rows a second", steps, "rows_per_second", Values::Even(1.0), |value| format!("{value:.0}")),
        by_layer("Gradient norm by layer", gradient_norms),
        by_layer("Update ratio by layer", update_ratios),
    ];
    let resumed = match profile.steps_before {
        0 => String::new(),
        steps => format!(" The run went on from a checkpoint: the first {steps} steps are not shown."),
    };
    format!(
        "<section><h2>Step by step</h2>\n<div class=\"charts\">{}</div>\n<p class=\"note\">Grey: single steps; blue: \
         their mean over a twentieth of the run. The update ratio is the size of an update \
         through that of the weights. Gradients and updates have logarithmic scales.{resumed}</p>\n</section>\n",
        charts.concat()
    )
}

/// How busy the machine was.
pub(super) fn machine(profile: &Profile) -> String {
    let system = &profile.system;
    let Some(end) = system.rows.last().and_then(|row| row.first()).copied() else { return String::new() };
    let (unit, places) = if end < MINUTES_FROM { (1.0, "seconds") } else { (60.0, "minutes") };
    let points = |name: &str, factor: f64| -> Vec<(f64, f64)> {
        system.points(name).map(|(at, value)| (at / unit, value * factor)).collect()
    };
    let line = |name, colour, points| Line { name, colour, points };
    let percent = |value: f64| format!("{value:.0} %");
    let has_gpu = system.columns.iter().any(|column| column == "gpu");
    let beside = if has_gpu { Colour::Plain } else { Colour::Accent };
    let mut busy = vec![line("CPU", beside, points("cpu", 100.0))];
    let memory = [line("", Colour::Accent, points("memory_mib", 1.0))];
    let chart = |title| Chart { title, places, values: Values::Even(1.0), marked: None };
    let mut charts = vec![chart("Resident memory, MiB").draw(&memory, |value| format!("{value:.0}"))];
    if has_gpu {
        busy.push(line("GPU", Colour::Accent, points("gpu", 100.0)));
        let memory = line("GPU", Colour::Accent, points("gpu_memory", 100.0));
        charts.push(chart("GPU memory in use").draw(&[memory], percent));
    }
    charts.insert(0, chart("Busy").draw(&busy, percent));
    format!(
        "<section><h2>Machine</h2>\n<div class=\"charts\">{}</div>\n<p class=\"note\">CPU: share of the cores that \
         the job was granted; from its start, reading and tokenising included, to its last look at the test split.\
         </p>\n</section>\n",
        charts.concat()
    )
}

fn by_step(title: &str, values: Values) -> Chart<'_> {
    Chart { title, places: "step", values, marked: None }
}

/// A series with its moving mean.
fn noisy(title: &str, series: &Series, column: &str, values: Values, label: impl Fn(f64) -> String) -> String {
    let points: Vec<(f64, f64)> = series.points(column).collect();
    let mean = Line { name: "", colour: Colour::Accent, points: smoothed(&points) };
    by_step(title, values).draw(&[Line { name: "", colour: Colour::Faint, points }, mean], label)
}

/// Each point's mean with those around it.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let reach = (points.len() / SMOOTHED_SHARE / 2).max(1);
    let mean = |(index, (place, _)): (usize, &(f64, f64))| {
        let around = points.get(index.saturating_sub(reach)..(index + reach + 1).min(points.len())).unwrap_or_default();
        (*place, around.iter().map(|(_, value)| value).sum::<f64>() / around.len().max(1) as f64)
    };
    points.iter().enumerate().map(mean).collect()
}

/// One curve a layer; of a deep network the first, the last, and as many between as can be named.
fn by_layer(title: &str, series: &Series) -> String {
    let names = series.columns.get(1..).unwrap_or_default();
    let every = names.len().saturating_sub(2).div_ceil(MAX_LAYERS - 2).max(1);
    let named = |index: usize| index == 0 || index + 1 == names.len() || (index - 1).is_multiple_of(every);
    let last = names.len().saturating_sub(1).max(1) as f64;
    let shown = names.iter().enumerate().filter(|(index, _)| named(*index));
    let line = |index: usize, name| {
        let colour = Colour::Ramp(index as f64 / last);
        Line { name, colour, points: series.points(name).collect() }
    };
    let lines: Vec<Line<'_>> = shown.map(|(index, name)| line(index, name.as_str())).collect();
    by_step(title, Values::Logarithmic).draw(&lines, short)
}

/// A number of any size in few characters: `0.5`, `20`, `1.5e-4`.
fn short(value: f64) -> String {
    if value == 0.0 || (0.01..10_000.0).contains(&value.abs()) {
        format!("{}", (value * 1e6).round() / 1e6)
    } else {
        format!("{value:.1e}").replace(".0e", "e")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(columns: &[&str], rows: usize) -> Series {
        let row = |index: usize| columns.iter().enumerate().map(|(column, _)| (index + 1 + column) as f64).collect();
        Series { columns: columns.iter().map(ToString::to_string).collect(), rows: (0..rows).map(row).collect() }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.0, 0.1 + 0.2, 20.0, 1.5e-4, 1e-7].map(short), ["0", "0.3", "20", "1.5e-4", "1e-7"]);
    }

    #[test]
    fn a_deep_network_shows_as_many_layers_as_can_be_named() {
        let names: Vec<String> = (0..24).map(|layer| format!("layer {layer}")).collect();
        let columns: Vec<&str> =
            ["step", "embedding"].into_iter().chain(names.iter().map(String::as_str)).chain(["head"]).collect();
        let svg = by_layer("Norms", &series(&columns, 3));
        let shown = svg.matches("<polyline").count();
        assert!((10..=MAX_LAYERS).contains(&shown), "{shown}");
        for name in [">embedding<", ">layer 0<", ">head<"] {
            assert!(svg.contains(name), "{name}");
        }
    }

    #[test]
    fn a_machine_with_a_gpu_shows_it_and_one_without_does_not() {
        let with = |columns: &[&str]| machine(&Profile { system: series(columns, 4), ..Profile::default() });
        let cpu = with(&["seconds", "cpu", "memory_mib"]);
        assert!(cpu.contains(">CPU<") && !cpu.contains("GPU"), "{cpu}");
        let gpu = with(&["seconds", "cpu", "memory_mib", "gpu", "gpu_memory"]);
        assert!(gpu.contains("GPU memory in use") && gpu.matches(">GPU<").count() == 2, "{gpu}");
        assert!(machine(&Profile::default()).is_empty());
    }

    #[test]
    fn what_a_resumed_run_does_not_show_is_said() {
        let columns = ["step", "loss", "learning_rate", "gradient_norm", "rows_per_second"];
        let page = |steps_before| steps(&Profile { steps_before, steps: series(&columns, 3), ..Profile::default() });
        assert!(!page(0).contains("checkpoint") && page(7).contains("the first 7 steps are not shown"));
        assert!(steps(&Profile::default()).contains("No step was made"));
    }
}
