//! Packs what PROJ links as it is: its database of coordinate systems is a quarter of the binary. `src/crs/packed.rs` unpacks it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::DeflateEncoder;

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(packed_proj)");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names the folder"));
    // Nobody promises where proj-sys leaves what it builds. Without it the binary is larger and works as well.
    let Some(share) = proj_share(&out)? else { return Ok(()) };
    let database = fs::read(share.join("proj.db"))?;
    let mut packed = DeflateEncoder::new(File::create(out.join("proj.db.deflate"))?, Compression::best());
    packed.write_all(&database)?;
    packed.finish()?;

    let mut list = format!("const DATABASE_BYTES: usize = {};\nconst FILES: &[(&str, &[u8])] = &[\n", database.len());
    for file in fs::read_dir(&share)? {
        let name = file?.file_name().into_string().expect("PROJ's names are ASCII");
        // PROJ links neither the schemas, nor the database by this list.
        if !name.ends_with(".json") && name != "proj.db" {
            fs::copy(share.join(&name), out.join(&name))?;
            list.push_str(&format!("    ({name:?}, include_bytes!({name:?})),\n"));
        }
    }
    list.push_str("];\n");
    fs::write(out.join("proj_files.rs"), list)?;
    println!("cargo:rerun-if-changed={}", share.display());
    println!("cargo:rustc-cfg=packed_proj");
    Ok(())
}

/// Where the newest proj-sys of this build has installed PROJ's files. It is built before this runs, for we depend on it and it links.
fn proj_share(out: &Path) -> io::Result<Option<PathBuf>> {
    let Some(builds) = out.ancestors().nth(2) else { return Ok(None) };
    let mut newest: Option<(SystemTime, PathBuf)> = None;
    for build in fs::read_dir(builds)? {
        let build = build?;
        let share = build.path().join("out/share/proj");
        if !build.file_name().to_string_lossy().starts_with("proj-sys-") {
            continue;
        }
        if let Ok(modified) = fs::metadata(share.join("proj.db")).and_then(|database| database.modified())
            && newest.as_ref().is_none_or(|(than, _)| modified > *than)
        {
            newest = Some((modified, share));
        }
    }
    Ok(newest.map(|(_, share)| share))
}
