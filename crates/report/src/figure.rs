//! Drawings of what changes over time: panels one below the other, with one axis of hours. SVG that needs nothing else: no font,
//! script or style sheet from elsewhere.

use std::io::{self, Write};

use crate::words::{grouped, span};

/// A drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it shows, in a few words.
    pub title: String,
    /// Its main figures, a line each; whoever cannot see it hears these.
    pub description: Vec<String>,
    /// Where the axis of time ends, in hours.
    pub hours: f64,
    /// What happened, and when, in hours.
    pub marks: Vec<(f64, String)>,
    /// From top to bottom.
    pub panels: Vec<Panel>,
}

/// Some lines that share an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// Of what and in what.
    pub unit: String,
    /// How its values are placed and written.
    pub scale: Scale,
    /// From back to front.
    pub lines: Vec<Line>,
}

/// How values are placed and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Each step as high as any other.
    Linear,
    /// Each tenfold as high as any other, for counts; none is at the bottom.
    Tenfold,
    /// The same for seconds.
    Time,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Stands in the legend.
    pub name: String,
    /// How it is drawn.
    pub style: Style,
    /// Hours and values, ordered by hours; a gap where there is no value.
    pub points: Vec<(f64, Option<f64>)>,
    /// What stands at its end.
    pub end: Option<String>,
}

/// How a line is drawn. Lines of one panel differ by more than their colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Blue, with the area below it.
    Area,
    /// Blue.
    First,
    /// Vermilion, heavier.
    Second,
    /// Grey, dashed.
    Background,
}

impl Style {
    fn class(self) -> &'static str {
        match self {
            Style::Area | Style::First => "first",
            Style::Second => "second",
            Style::Background => "background",
        }
    }
}

const WIDTH: f64 = 1_000.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 966.0;
const PLOT: f64 = 132.0;
/// From one plot to the next.
const STEP: f64 = 212.0;
/// Room for the names of marks above the first plot.
const MARKS: f64 = 20.0;

/// The colours hold for people who see fewer of them (Okabe and Ito, 2008).
const CSS: &str = "text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#3d434d}\
.title{font-size:22px;font-weight:700;fill:#191b20}.panel{font-size:15px;font-weight:700;fill:#191b20}.soft{fill:#5a5f69}\
.tick{font-size:12px;fill:#5a5f69}.right{text-anchor:end}.middle{text-anchor:middle}.mark{font-weight:600;fill:#191b20}\
.grid{stroke:#e6e8ec;fill:none}.base{stroke:#8b929d;fill:none}.event{stroke:#191b20;stroke-dasharray:2 4;fill:none}\
.line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}.first{stroke:#0072b2}\
.second{stroke:#d55e00;stroke-width:2.4}.background{stroke:#6b7280;stroke-width:1.4;stroke-dasharray:5 3}\
.area{fill:#0072b2;fill-opacity:.14;stroke:none}.end{font-weight:600;fill:#191b20}";

/// Writes the drawing.
pub fn write(figure: &Figure, out: &mut dyn Write) -> io::Result<()> {
    let head = 62.0 + 19.0 * figure.description.len() as f64;
    let marks = if figure.marks.is_empty() { 0.0 } else { MARKS };
    let height = head + 34.0 + marks + STEP * figure.panels.len() as f64 - 26.0;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"title description\">"
    )?;
    writeln!(out, "<title id=\"title\">{}</title>", Escaped(&figure.title))?;
    writeln!(out, "<desc id=\"description\">{}</desc>", Escaped(&figure.description.join(" ")))?;
    writeln!(out, "<style>{CSS}</style>")?;
    writeln!(out, "<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>")?;
    writeln!(out, "<text class=\"title\" x=\"24\" y=\"38\">{}</text>", Escaped(&figure.title))?;
    for (number, line) in figure.description.iter().enumerate() {
        let y = 62.0 + 19.0 * number as f64;
        writeln!(out, "<text class=\"soft\" x=\"24\" y=\"{y}\">{}</text>", Escaped(line))?;
    }
    for (number, panel) in figure.panels.iter().enumerate() {
        let top = head + 34.0 + marks + STEP * number as f64;
        let names = if number == 0 { figure.marks.as_slice() } else { &[] };
        draw(figure, panel, top, names, out)?;
    }
    let bottom = height - 14.0;
    writeln!(
        out,
        "<text class=\"soft middle\" x=\"{}\" y=\"{bottom}\">hours since the beginning of the day</text>",
        (LEFT + RIGHT) / 2.0
    )?;
    writeln!(out, "</svg>")
}

fn draw(
    figure: &Figure,
    panel: &Panel,
    top: f64,
    names: &[(f64, String)],
    out: &mut dyn Write,
) -> io::Result<()> {
    let values = panel.lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, value)| *value));
    let axis = Axis::new(panel.scale, values.fold(0.0, f64::max));
    let bottom = top + PLOT;
    let x =
        |hours: f64| Number(LEFT + (RIGHT - LEFT) * (hours / figure.hours.max(f64::MIN_POSITIVE)).min(1.0));
    let y = |value: f64| Number(bottom - PLOT * axis.place(value));
    let caption = top - 12.0 - if names.is_empty() { 0.0 } else { MARKS };
    writeln!(
        out,
        "<text x=\"24\" y=\"{caption}\"><tspan class=\"panel\">{}</tspan><tspan class=\"soft\" dx=\"8\">{}</tspan></text>",
        Escaped(&panel.title),
        Escaped(&panel.unit)
    )?;
    legend(panel, caption, out)?;
    for tick in &axis.ticks {
        let class = if *tick == 0.0 { "base" } else { "grid" };
        let (at, label) = (y(*tick), axis.label(*tick));
        writeln!(out, "<path class=\"{class}\" d=\"M{LEFT} {at}H{RIGHT}\"/>")?;
        // Where ticks are too near to one another, the lowest keeps its name.
        if *tick > 0.0 && bottom - at.0 < 13.0 {
            continue;
        }
        let baseline = Number(at.0 + 4.0);
        writeln!(out, "<text class=\"tick right\" x=\"{}\" y=\"{baseline}\">{label}</text>", LEFT - 8.0)?;
    }
    for tick in ticks(figure.hours, 12.0) {
        let (at, below) = (x(tick), bottom + 18.0);
        writeln!(out, "<path class=\"grid\" d=\"M{at} {top}V{bottom}\"/>")?;
        writeln!(out, "<text class=\"tick middle\" x=\"{at}\" y=\"{below}\">{}</text>", short(tick))?;
    }
    for (hours, _) in &figure.marks {
        let above = if names.is_empty() { top } else { top - 4.0 };
        writeln!(out, "<path class=\"event\" d=\"M{} {above}V{bottom}\"/>", x(*hours))?;
    }
    for (hours, name) in names {
        let near_the_end = *hours > figure.hours * 0.8;
        let class = if near_the_end { "mark right" } else { "mark" };
        writeln!(
            out,
            "<text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>",
            x(*hours),
            top - 9.0,
            Escaped(name)
        )?;
    }
    for line in &panel.lines {
        for run in line.points.split(|(_, value)| value.is_none()).filter(|run| !run.is_empty()) {
            let points: Vec<(Number, Number)> =
                run.iter().map(|(hours, value)| (x(*hours), y(value.unwrap_or(0.0)))).collect();
            let mut path = String::new();
            for (number, (x, y)) in points.iter().enumerate() {
                path.push_str(&format!("{}{x} {y}", if number == 0 { 'M' } else { 'L' }));
            }
            // A point without neighbours is a dot: lines have round ends.
            if let [(x, y)] = points.as_slice() {
                path.push_str(&format!("L{x} {y}"));
            }
            if line.style == Style::Area
                && let (Some((first, _)), Some((last, _))) = (points.first(), points.last())
            {
                let base = Number(bottom);
                writeln!(out, "<path class=\"area\" d=\"{path}L{last} {base}L{first} {base}Z\"/>")?;
            }
            writeln!(out, "<path class=\"line {}\" d=\"{path}\"/>", line.style.class())?;
        }
        if let (Some(end), Some((hours, Some(value)))) = (&line.end, line.points.last()) {
            let at = Number(y(*value).0 - 8.0);
            writeln!(
                out,
                "<text class=\"end right\" x=\"{}\" y=\"{at}\">{}</text>",
                x(*hours),
                Escaped(end)
            )?;
        }
    }
    Ok(())
}

/// Right of the caption, from right to left.
fn legend(panel: &Panel, y: f64, out: &mut dyn Write) -> io::Result<()> {
    /// Wide enough for any letter of the fonts named above, on average.
    const LETTER: f64 = 7.4;
    let mut right = RIGHT;
    for line in panel.lines.iter().rev() {
        let left = right - LETTER * line.name.chars().count() as f64;
        writeln!(out, "<text x=\"{}\" y=\"{y}\">{}</text>", Number(left), Escaped(&line.name))?;
        let (from, to, height) = (Number(left - 30.0), Number(left - 6.0), y - 4.0);
        writeln!(out, "<path class=\"line {}\" d=\"M{from} {height}H{to}\"/>", line.style.class())?;
        right = left - 48.0;
    }
    Ok(())
}

struct Axis {
    scale: Scale,
    end: f64,
    ticks: Vec<f64>,
}

impl Axis {
    fn new(scale: Scale, most: f64) -> Axis {
        let most = most.max(1.0);
        match scale {
            Scale::Linear => {
                let mut ticks = ticks(most, 4.0);
                let step = ticks.get(1).copied().unwrap_or(most);
                if ticks.last().is_some_and(|last| *last < most) {
                    ticks.push(ticks.len() as f64 * step);
                }
                Axis { scale, end: ticks.last().copied().unwrap_or(most), ticks }
            }
            Scale::Tenfold | Scale::Time => {
                let all: &[f64] = match scale {
                    Scale::Time => &[0.0, 1.0, 10.0, 60.0, 600.0, 3_600.0, 36_000.0, 360_000.0, 3_600_000.0],
                    _ => &[0.0, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7],
                };
                let ticks: Vec<f64> = all.iter().copied().filter(|tick| *tick <= most * 2.0).collect();
                let end = most.max(ticks.last().copied().unwrap_or(0.0));
                Axis { scale, end, ticks }
            }
        }
    }

    /// From 0 at the bottom to 1 at the top.
    fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value / self.end,
            Scale::Tenfold | Scale::Time => value.ln_1p() / self.end.ln_1p(),
        }
    }

    fn label(&self, value: f64) -> String {
        match self.scale {
            Scale::Time if value > 0.0 => span(std::time::Duration::from_secs_f64(value)),
            _ => short(value),
        }
    }
}

/// Round numbers from 0 up to the most, about so many.
fn ticks(most: f64, about: f64) -> Vec<f64> {
    let rough = (most / about).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    (0_u32..).map(|number| f64::from(number) * step).take_while(|tick| *tick <= most * 1.000_001).collect()
}

/// `1,000`, `0.5`.
fn short(value: f64) -> String {
    if value.fract() == 0.0 { grouped(value as u64) } else { Number(value).to_string() }
}

/// A number as short as it gets.
#[derive(Clone, Copy)]
struct Number(f64);

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", (self.0 * 10.0).round() / 10.0)
    }
}

struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            // XML has no way to write these (XML 1.0, 2.2).
            character if character.is_control() => f.write_str("\u{fffd}"),
            character => write!(f, "{character}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_above_their_values_at_round_numbers() {
        assert_eq!(ticks(8.02, 12.0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        for (scale, most, ticks) in [
            (Scale::Linear, 1_000.0, &[0.0, 500.0, 1_000.0][..]),
            (Scale::Linear, 83.0, &[0.0, 50.0, 100.0]),
            (Scale::Linear, 0.0, &[0.0, 0.5, 1.0]),
            (Scale::Tenfold, 49_000.0, &[0.0, 1.0, 10.0, 100.0, 1_000.0, 10_000.0]),
            (Scale::Time, 5_000.0, &[0.0, 1.0, 10.0, 60.0, 600.0, 3_600.0]),
        ] {
            let axis = Axis::new(scale, most);
            assert_eq!(axis.ticks, ticks, "{scale:?} {most}");
            assert!(axis.place(0.0) == 0.0 && axis.place(most) <= 1.0, "{scale:?} {most}");
        }
        assert_eq!(Axis::new(Scale::Time, 5_000.0).label(600.0), "10 min");
    }
}
