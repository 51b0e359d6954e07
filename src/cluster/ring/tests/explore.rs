//! x
use super::cluster::*;
use crate::NodeId;
use crate::ring::*;
use std::time::Instant;
#[test]
fn explore_time() {
    for (parts, count, n) in
        [(4096, 64, 3), (4096, 64, 5), (4096, 256, 3), (65536, 64, 3), (4096, 1024, 3), (65536, 1024, 3)]
    {
        for equal in [true, false] {
            let mut draw = Draw::new(5);
            let mut m: Vec<RingMember> = (0..count)
                .map(|i| RingMember {
                    id: NodeId(draw.bits()),
                    weight: if equal { 1 } else { draw.number(1, 10) as u32 },
                    zone: format!("z{}", i % 6),
                    dc: format!("d{}", i % 3),
                })
                .collect();
            let t = Instant::now();
            let r = Ring::place(parts, n, &m, None).unwrap();
            let fresh = t.elapsed();
            let l = m.pop();
            let t = Instant::now();
            let r2 = Ring::place(parts, n, &m, Some(&r)).unwrap();
            let leave = t.elapsed();
            m.extend(l);
            let t = Instant::now();
            let r3 = Ring::place(parts, n, &m, Some(&r2)).unwrap();
            let mut b = Vec::new();
            r3.encode(&mut b);
            println!(
                "{parts} x {count} n {n} equal {equal}: fresh {fresh:?} leave {leave:?} {} join {:?} {} bytes {}",
                r2.gained(&r).count(),
                t.elapsed(),
                r3.gained(&r2).count(),
                b.len()
            );
        }
    }
}
