//! A check on paper: one section a subject, marks at the margin, records ready to paste.

use super::own::Own;
use super::section::{Level, Remark, Section, count};
use crate::cli::print::{clean, count as counted, marked, wrapped};

/// Prints everything.
pub fn print(domain: &str, own: &Own, sections: &[Section], note: Option<&str>) {
    let whose = match own.has_domain {
        true => format!(", a domain of this server ({})", own.shown()),
        false => String::new(),
    };
    println!("{domain}{whose}, as the world sees it");
    if let Some(note) = note {
        println!("{}", marked(Level::Info.mark(), note));
    }
    for section in sections {
        println!("\n{}", section.title);
        for remark in &section.remarks {
            print_remark(remark);
        }
        for line in &section.details {
            println!("      {}", clean(line));
        }
    }
    println!("\n{}", summary(count(sections, Level::Fault), count(sections, Level::Warning)));
}

fn print_remark(remark: &Remark) {
    println!("{}", marked(remark.level.mark(), &remark.text));
    if let Some(remedy) = &remark.remedy {
        println!("{}", wrapped(&format!("{}:", remedy.how), 6));
        for record in &remedy.records {
            // Never broken: it is to be pasted.
            println!("        {}", clean(&record.line()));
        }
    }
}

fn summary(faults: usize, warnings: usize) -> String {
    let thing = |n: usize| counted(n as u64, "thing");
    match (faults, warnings) {
        (0, 0) => "Nothing to mend.".to_owned(),
        (0, w) => format!("Nothing must be mended; {} (!) could be better.", thing(w)),
        (f, 0) => format!("{} (✗) must be mended.", thing(f)),
        (f, w) => format!("{} (✗) must be mended; {w} (!) could be better.", thing(f)),
    }
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn the_last_line_says_it_all() {
        assert_eq!(summary(0, 0), "Nothing to mend.");
        assert_eq!(summary(1, 2), "1 thing (✗) must be mended; 2 (!) could be better.");
        assert_eq!(summary(0, 1), "Nothing must be mended; 1 thing (!) could be better.");
    }
}
