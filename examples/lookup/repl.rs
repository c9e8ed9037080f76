//! Questions and answers.

use std::os::fd::AsFd;

use chainring::fs::File;

use crate::Error;
use crate::tree::Tree;

/// Longer lines are nobody's.
const LINE: usize = 64 << 10;

pub(crate) async fn get(tree: &Tree, keys: Vec<u64>) -> Result<(), Error> {
    for (key, value) in keys.clone().into_iter().zip(tree.get(keys).await?) {
        match value {
            Some(value) => println!("{key} {value}"),
            None => println!("{key} not found"),
        }
    }
    Ok(())
}

pub(crate) async fn range(tree: &Tree, from: u64, to: u64, limit: u64) -> Result<(), Error> {
    for (key, value) in tree.range(from, to, limit).await? {
        println!("{key} {value}");
    }
    Ok(())
}

/// Answers line by line until the input ends.
pub(crate) async fn repl(tree: &Tree) -> Result<(), Error> {
    // Through the ring, so that a signal need not wait for the next line.
    let mut input = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut held: Vec<u8> = Vec::new();
    loop {
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = held.drain(..=end).collect();
            answer(tree, &String::from_utf8_lossy(&line)).await?;
        }
        if held.len() > LINE {
            return Err("the line has no end".into());
        }
        let (result, mut bytes) = input.read(Vec::with_capacity(4096)).await;
        if result? == 0 {
            return answer(tree, &String::from_utf8_lossy(&held)).await;
        }
        held.append(&mut bytes);
    }
}

async fn answer(tree: &Tree, line: &str) -> Result<(), Error> {
    let mut words = line.split_whitespace();
    let command = words.next();
    let numbers: Option<Vec<u64>> = words.map(|word| word.parse().ok()).collect();
    match (command, numbers.as_deref()) {
        (None, _) => Ok(()),
        (Some("get"), Some(keys @ [_, ..])) => get(tree, keys.to_vec()).await,
        (Some("range"), Some(&[from, to])) => range(tree, from, to, u64::MAX).await,
        (Some("range"), Some(&[from, to, limit])) => range(tree, from, to, limit).await,
        _ => {
            println!("not understood; there are: get KEY..., range FROM TO [LIMIT]");
            Ok(())
        }
    }
}
