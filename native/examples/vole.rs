//! CPU time of both parties of a VOLE (Linux): `cargo run --release --example vole -- 1420000 [malicious]`.

use fedsandbox_native::vole::{Parameters, Received, Receiver, Sender, Sent};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let outputs = arguments
        .next()
        .map_or(1_420_000, |text| text.parse().expect("a number"));
    let malicious = arguments.next().is_some();
    let parameters = Parameters::new(outputs, malicious).expect("parameters");
    let mut best = [f64::MAX; 6];
    for round in 0..5u8 {
        let mut times = Vec::new();
        let mut before = cpu_seconds();
        let mut lap = |times: &mut Vec<f64>| {
            let now = cpu_seconds();
            times.push(now - before);
            before = now;
        };
        let session = [round; 32];
        let (sender, offer) = Sender::start(parameters, session, 1);
        lap(&mut times);
        let (awaiting, request) = Receiver::new(parameters, session, 2)
            .request(&offer)
            .expect("request");
        lap(&mut times);
        let expanded = sender.expand();
        lap(&mut times);
        let (sent, answer) = expanded.answer(&request).expect("answer");
        lap(&mut times);
        let received = awaiting.finish(&answer).expect("finish");
        lap(&mut times);
        if let (Received::Check(checking, challenge), Sent::Check(proving)) = (received, sent) {
            let (_, proof) = proving.prove(&challenge).expect("prove");
            checking.finish(&proof).expect("check");
        }
        lap(&mut times);
        best.iter_mut()
            .zip(times)
            .for_each(|(best, time)| *best = best.min(time));
        if round == 0 {
            println!(
                "bytes: offer {} request {} answer {}",
                offer.len(),
                request.len(),
                answer.len()
            );
        }
    }
    let names = [
        "S start",
        "R request",
        "S expand",
        "S answer",
        "R finish",
        "check",
    ];
    for (name, time) in names.iter().zip(best) {
        println!(
            "{name:10} {:8.2} ms {:7.1} ns/output",
            time * 1e3,
            time * 1e9 / outputs as f64
        );
    }
}

/// What all threads of this process have run, from the scheduler's own count.
fn cpu_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let texts =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok());
    let nanoseconds = texts.filter_map(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.sum::<f64>() * 1e-9
}
