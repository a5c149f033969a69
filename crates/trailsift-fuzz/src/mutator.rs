//! Inputs by chance, for a run that is short, the same every time, and needs no tool.

use std::fs;
use std::io;
use std::path::Path;

use fastrand::Rng;

use crate::Target;

/// The longest input made.
const LONGEST: usize = 4096;

/// Makes inputs of what is in a target's corpus and dictionary.
#[derive(Debug)]
pub struct Mutator {
    inputs: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    /// A mutator for the target.
    ///
    /// # Errors
    /// If its corpus or its dictionary cannot be read, or holds nothing.
    pub fn new(target: &Target) -> io::Result<Self> {
        let inputs: Vec<_> =
            inputs(&target.corpus())?.into_iter().map(|(_, input)| input).collect();
        let words: Vec<_> =
            fs::read_to_string(target.dictionary())?.lines().filter_map(word).collect();
        if inputs.is_empty() || words.is_empty() {
            return Err(io::Error::other(format!("{} has nothing to begin with", target.name)));
        }
        Ok(Self { inputs, words })
    }

    /// The input with this number: always the same one for the same corpus and dictionary.
    pub fn input(&self, number: u64) -> Vec<u8> {
        let mut rng = Rng::with_seed(number);
        let mut input = self.any(&mut rng).clone();
        for _ in 0..=small(&mut rng, 5) {
            self.change(&mut input, &mut rng);
        }
        input.truncate(LONGEST);
        input
    }

    fn any(&self, rng: &mut Rng) -> &Vec<u8> {
        &self.inputs[rng.usize(..self.inputs.len())]
    }

    fn change(&self, input: &mut Vec<u8>, rng: &mut Rng) {
        let at = rng.usize(..=input.len());
        // Mostly a little: what is broken everywhere is refused at its first byte.
        let end = (at + small(rng, 8)).min(input.len());
        match rng.u8(..10) {
            0 | 1 => {
                let word = &self.words[rng.usize(..self.words.len())];
                let end = if rng.bool() { at } else { (at + word.len()).min(input.len()) };
                input.splice(at..end, word.iter().copied());
            }
            2 => {
                input.drain(at..end);
            }
            3 => {
                let part = input[at..end].to_vec();
                let to = rng.usize(..=input.len());
                input.splice(to..to, part);
            }
            4 => {
                let part = input[at..end].to_vec();
                let times = small(rng, 8);
                let room = LONGEST.saturating_sub(input.len()) / part.len().max(1);
                input.splice(at..at, part.repeat(times.min(room)));
            }
            5 => {
                let other = self.any(rng);
                let from = rng.usize(..=other.len());
                let to = (from + small(rng, 10)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            6 => input.truncate(at),
            7 => input.insert(at, rng.u8(..)),
            _ if at == input.len() => {}
            8 => input[at] ^= 1 << rng.u8(..8),
            _ => input[at] = rng.u8(..),
        }
    }
}

/// A number of fewer than so many bits, mostly a small one.
fn small(rng: &mut Rng, bits: u32) -> usize {
    let bits = rng.u32(..bits);
    rng.usize(..1 << bits)
}

/// The inputs in a folder with the names of their files, by name. None if there is no folder.
///
/// # Errors
/// If it cannot be read.
pub fn inputs(folder: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut inputs = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                inputs.push((name, fs::read(&path)?));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    inputs.sort();
    Ok(inputs)
}

/// The word on a line of a dictionary: `"text"`, in which `\\`, `\"` and `\xAB` are escapes.
fn word(line: &str) -> Option<Vec<u8>> {
    let inside = line.trim().strip_prefix('"')?.strip_suffix('"')?;
    let mut word = Vec::new();
    let mut rest = inside.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        (word, rest) = match (byte, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digit = |digit: u8| char::from(digit).to_digit(16);
                let byte = digit(*high)? << 4 | digit(*low)?;
                word.push(u8::try_from(byte).ok()?);
                (word, after)
            }
            (b'\\', [escaped, after @ ..]) => {
                word.push(*escaped);
                (word, after)
            }
            _ => {
                word.push(*byte);
                (word, after)
            }
        };
    }
    Some(word)
}
