//! The trained tensors, one list for the optimiser, the checkpoint and the forward pass.

use burn::tensor::{Device, Tensor, TensorData};
use fixformer::host::draw::Source;
use fixformer::host::quantize::HEADROOM;

/// A tensor of the model; a vector is `[1, length]`.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name in the checkpoint.
    pub name: String,
    /// Its values.
    pub value: Tensor<2>,
    /// What it is for.
    pub role: Role,
    /// Coordinates that it is trained in: the network has `basis · value`.
    pub basis: Option<Tensor<2>>,
}

impl Parameter {
    /// What the network has.
    pub fn seen(&self) -> Tensor<2> {
        match &self.basis {
            Some(basis) => basis.clone().matmul(self.value.clone()),
            None => self.value.clone(),
        }
    }
}

/// What a parameter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `[inputs, outputs]` of a linear map: it decays, and becomes 8-bit integers.
    Weight,
    /// `[rows, width]`, added up or looked up.
    Table,
    /// A bias or a gain.
    Vector,
}

/// Which parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(usize);

/// All parameters, in the order of the forward pass.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// Each of them.
    pub list: Vec<Parameter>,
    device: Device,
    rounded: bool,
}

impl Parameters {
    /// None yet.
    pub fn new(device: Device) -> Self {
        Parameters { list: Vec::new(), device, rounded: false }
    }

    /// Where the tensors are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Adds a parameter.
    pub fn add(&mut self, name: String, role: Role, shape: [usize; 2], values: Vec<f32>) -> Id {
        let value = Tensor::from_data(TensorData::new(values, shape), &self.device);
        self.list.push(Parameter { name, value, role, basis: None });
        Id(self.list.len() - 1)
    }

    /// A linear map's weight, uniform with the variance of Glorot and Bengio 2010.
    pub fn weight(&mut self, name: String, inputs: usize, outputs: usize, source: &mut Source) -> Id {
        let bound = (6.0 / (inputs + outputs) as f64).sqrt();
        let values = (0..inputs * outputs).map(|_| (bound * (2.0 * source.uniform() - 1.0)) as f32);
        self.add(name, Role::Weight, [inputs, outputs], values.collect())
    }

    /// A table of normal values with this deviation.
    pub fn table(&mut self, name: String, shape: [usize; 2], deviation: f64, source: &mut Source) -> Id {
        let values = (0..shape[0] * shape[1]).map(|_| (deviation * normal(source)) as f32);
        self.add(name, Role::Table, shape, values.collect())
    }

    /// A vector of one value.
    pub fn vector(&mut self, name: String, length: usize, value: f32) -> Id {
        self.add(name, Role::Vector, [1, length], vec![value; length])
    }

    /// The values of one.
    pub fn value(&self, id: Id) -> Tensor<2> {
        self.list[id.0].seen()
    }

    /// Trains one in other coordinates, `[inputs, inputs]` row by row.
    pub fn train_in(&mut self, id: Id, basis: Vec<f32>) {
        let inputs = self.list[id.0].value.dims()[0];
        self.list[id.0].basis =
            Some(Tensor::from_data(TensorData::new(basis, [inputs, inputs]), &self.device));
    }

    /// Number of values of all together.
    pub fn count(&self) -> usize {
        self.list.iter().map(|parameter| parameter.value.dims().iter().product::<usize>()).sum()
    }

    /// The same values, to be differentiated.
    pub fn tracked(&self) -> Parameters {
        let mut tracked = self.clone();
        for parameter in &mut tracked.list {
            parameter.value = parameter.value.clone().autodiff().require_grad();
        }
        tracked
    }
}

/// Bits of a weight, and of an activation, with their sign.
const BITS: [u32; 2] = [8, 16];

/// The roundings of the engine. Gradients pass them as if they were not there (Bengio, Léonard and Courville 2013).
impl Parameters {
    /// The same with weights rounded to 8 bits for each output, and with [activations](Self::activation) to be rounded.
    pub fn rounded(&self) -> Parameters {
        let mut rounded = Parameters { rounded: true, ..self.clone() };
        for parameter in rounded.list.iter_mut().filter(|parameter| parameter.role != Role::Vector) {
            let value = parameter.seen();
            parameter.basis = None;
            let largest = value.clone().detach().abs().max_dim(0);
            parameter.value = straight_through(value, largest.div_scalar(most(BITS[0])).clamp_min(1e-12));
        }
        rounded
    }

    /// What the engine makes of an activation: 16 bits, and a power of two for all of the tensor.
    pub fn activation(&self, x: Tensor<2>) -> Tensor<2> {
        if !self.rounded {
            return x;
        }
        let largest = x.clone().detach().abs().max().into_scalar::<f32>() * HEADROOM as f32;
        let step = (largest / most(BITS[1])).max(f32::MIN_POSITIVE).log2().ceil().exp2();
        let step = Tensor::from_data(TensorData::new(vec![step], [1, 1]), &self.device);
        straight_through(x, step)
    }
}

fn most(bits: u32) -> f32 {
    ((1 << (bits - 1)) - 1) as f32
}

/// `x` to the nearest multiple of `step`; the gradient is that of `x`.
fn straight_through(x: Tensor<2>, step: Tensor<2>) -> Tensor<2> {
    let plain = x.clone().detach();
    let rounded = (plain.clone() / step.clone()).round() * step;
    x + (rounded - plain)
}

/// A normal value (Box and Muller 1958).
pub(crate) fn normal(source: &mut Source) -> f64 {
    let radius = (-2.0 * (1.0 - source.uniform()).ln()).sqrt();
    radius * (std::f64::consts::TAU * source.uniform()).cos()
}
