//! Writes sample reports in every format, to look at: `cargo run -p report --example sample -- FOLDER`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use report::{Format, Source};

#[expect(clippy::unwrap_used, reason = "its values are literals")]
#[path = "../tests/it/estate.rs"]
mod estate;

use estate::Estate;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: sample FOLDER")?);
    write(&Estate::full(), None, &folder.join("full"))?;
    write(&Estate::empty(), None, &folder.join("empty"))?;
    write(&Estate::full(), Some(100_000), &folder.join("many"))?;
    Ok(())
}

/// With `many`, that many findings instead of the estate's own.
fn write(estate: &Estate, many: Option<u64>, folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(folder)?;
    let source = Source {
        summary: &estate.summary,
        findings: &|| match many {
            Some(count) => Ok(Box::new(Estate::many(count).map(Ok))),
            None => Ok(Box::new(estate.findings.iter().cloned().map(Ok))),
        },
        assets: &|| Ok(Box::new(estate.assets.iter().cloned().map(Ok))),
    };
    for format in Format::ALL {
        report::write(format, &source, &mut File::create(folder.join(format.file_name()))?)?;
    }
    Ok(())
}
