//! What classes and outputs are called.

use fixformer::Model;
use fixformer::model::Task;

/// Names of the classes of a model, or of its outputs where those are numbers; and their units.
pub(crate) struct Names {
    names: Vec<Option<String>>,
    units: Vec<Option<String>>,
}

impl Names {
    /// Those that the model file has; of classes without one those of the recordings.
    pub(crate) fn of(model: &Model<'_>, listed: Option<&[String]>) -> Self {
        let count = if model.answers.task == Task::Regression { model.outputs() } else { model.classes() };
        let listed = listed.filter(|listed| listed.len() == count);
        let name = |index: usize| {
            let own = model.answers.name(index).map(str::to_owned);
            own.or_else(|| listed.map(|listed| listed[index].clone()))
        };
        let unit = |output: usize| model.answers.unit(output).map(str::to_owned);
        Self { names: (0..count).map(name).collect(), units: (0..model.outputs()).map(unit).collect() }
    }

    /// The name, if there is one.
    pub(crate) fn name(&self, index: usize) -> Option<&str> {
        self.names.get(index)?.as_deref()
    }

    /// The unit of an output, if there is one.
    pub(crate) fn unit(&self, output: usize) -> Option<&str> {
        self.units.get(output)?.as_deref()
    }

    /// The name, or else the number.
    pub(crate) fn shown(&self, index: usize) -> String {
        self.name(index).map_or_else(|| index.to_string(), str::to_owned)
    }
}
