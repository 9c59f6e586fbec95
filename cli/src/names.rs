//! What classes and outputs are called.

use anyhow::{Result, bail};
use fixformer::Model;
use fixformer::model::Task;

/// Names of the classes of a model, or of its outputs where those are numbers; and their units.
pub(crate) struct Names {
    names: Vec<Option<String>>,
    units: Vec<Option<String>>,
}

impl Names {
    /// Those that the command line lists; else those of the model file; else those of the recordings.
    ///
    /// # Errors
    /// The command line lists another number of them, or those of the file in another order.
    pub(crate) fn of(
        model: &Model<'_>,
        listed: Option<&[String]>,
        recorded: Option<&[String]>,
    ) -> Result<Self> {
        let are_numbers = model.answers.task == Task::Regression;
        let count = model.answers.named();
        let own: Vec<&str> = (0..count).filter_map(|index| model.answers.name(index)).collect();
        if let Some(listed) = listed {
            if listed.len() != count {
                let what = if are_numbers { "numbers" } else { "classes" };
                bail!(
                    "--classes lists {}, but the model has {count} {what}; list each once, in order",
                    listed.len()
                );
            }
            if own.iter().any(|name| listed.iter().any(|other| other == name)) && own != *listed {
                let own = own.join(",");
                bail!(
                    "--classes lists names of the model in another order or beside others; they are {own}: leave it out"
                );
            }
        }
        let recorded = recorded.filter(|recorded| recorded.len() == count);
        let name = |index: usize| {
            let own = own.get(index).map(|name| (*name).to_owned());
            let listed = listed.map(|listed| listed[index].clone());
            listed.or(own).or_else(|| recorded.map(|recorded| recorded[index].clone()))
        };
        let unit = |output: usize| model.answers.unit(output).map(str::to_owned);
        Ok(Self { names: (0..count).map(name).collect(), units: (0..model.outputs()).map(unit).collect() })
    }

    /// The name, if there is one.
    pub(crate) fn name(&self, index: usize) -> Option<&str> {
        self.names.get(index)?.as_deref()
    }

    /// The unit of all outputs, if they have the same.
    pub(crate) fn common_unit(&self) -> Option<&str> {
        let first = self.units.first()?.as_deref();
        first.filter(|_| self.units.iter().all(|unit| unit.as_deref() == first))
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
