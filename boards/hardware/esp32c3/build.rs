//! The memory map is that of esp-hal, whose stack is what the variables leave at the end of the RAM.

fn main() {
    for script in ["-Tlinkall.x", "-Tfixformer-stack.x"] {
        println!("cargo::rustc-link-arg-bins={script}");
    }
}
