//! Machine code for AVX-512, read rather than run, so that machines without it see a change of it as well.

use cotangent_core::ir::DType;
use cotangent_loops::ir::*;

use super::Isa;
use crate::compile::compile_on;
use crate::path::Executor;
use crate::routine::Vectors;

/// The assembly of a nest that copies one buffer to another.
fn assembly(dtype: DType, lens: [usize; 2], outer: &[usize], lanes: usize, accesses: Vec<Access>) -> String {
    let [from, to] = [Role::Param, Role::Result].map(|role| Buffer { dtype, len: 0, role });
    let buffers = vec![Buffer { len: lens[0], ..from }, Buffer { len: lens[1], ..to }];
    let ops = vec![(BodyOp::Load(0), dtype), (BodyOp::Store(1, BodyValue(0)), dtype)];
    let stage = Stage { serial: vec![], lanes, columns: vec![], accesses, body: Body { ops }, after: Body::default() };
    let nest = Nest {
        outer: outer.to_vec(),
        scratch: vec![],
        scalars: vec![],
        stages: vec![stage],
        lookups: vec![],
        locs: vec![],
    };
    let program =
        LoopProgram { buffers, params: vec![BufferId(0)], results: vec![BufferId(1)], steps: vec![Step::Nest(nest)] };
    let assembler = Executor::Wide(Isa::Avx512).assembler(&program);
    let text = compile_on(&program, Vectors::Portable, assembler).expect("compiles").disassembly();
    assert!(!text.contains("(bad)"), "{text}");
    text
}

fn access(b: u32, offset: i64, outer: &[i64], lane: i64) -> Access {
    Access { memory: Memory::Buffer(BufferId(b)), offset, outer: outer.to_vec(), serial: vec![], lane, aim: None }
}

/// The instructions of vectors in the order in which they stand, without addresses in the pool.
fn vectors(text: &str) -> Vec<&str> {
    let instructions = text.lines().filter_map(|line| line.split_once("  ").map(|(_, code)| code.trim_start()));
    let code = instructions.map(|code| code.split_once("  ").map_or(code, |(_, code)| code));
    code.filter(|code| code.starts_with('v') && !code.starts_with("vzeroupper")).collect()
}

/// One vector in memory after the other, each of them a permutation of the elements.
#[test]
fn repeated_elements() {
    for (dtype, lanes) in [(DType::F32, 16), (DType::F64, 8)] {
        let accesses = vec![access(0, 0, &[0], 1), access(1, 0, &[1], 2)];
        let text = assembly(dtype, [lanes, 2 * lanes], &[2], lanes, accesses);
        let [load, rest @ ..] = &vectors(&text)[..] else { panic!("{text}") };
        assert!(load.starts_with("vmovups zmm0, [r8+rdx*"), "{text}");
        for (part, to) in rest.chunks(3).zip(["[rax]", "[rax+40h]"]) {
            assert!(part[0].starts_with("vmovups zmm15, [rip+"), "{text}");
            assert_eq!(part[1..], ["vpermps zmm15, zmm15, zmm0", &format!("vmovups {to}, zmm15")], "{text}");
        }
        assert_eq!(rest.len(), 6, "{text}");
    }
}

/// A vector is read from the place of its last element, and turned round.
#[test]
fn reversed_elements() {
    for (dtype, lanes, places) in
        [(DType::F32, 32, ["[rax-3Ch]", "[rax-7Ch]"]), (DType::F64, 16, ["[rax-38h]", "[rax-78h]"])]
    {
        let accesses = vec![access(0, lanes as i64 - 1, &[], -1), access(1, 0, &[], 1)];
        let text = assembly(dtype, [lanes, lanes], &[], lanes, accesses);
        let code = vectors(&text);
        assert_eq!(code.len(), 8, "{text}");
        for (k, (part, from)) in code.chunks(3).zip(places).enumerate() {
            assert_eq!(part[0], format!("vmovups zmm{k}, {from}"), "{text}");
            assert!(part[1].starts_with("vmovups zmm15, [rip+"), "{text}");
            assert_eq!(part[2], format!("vpermps zmm{k}, zmm15, zmm{k}"), "{text}");
        }
    }
}
