"""From the table of absences to features: one small function each."""

import pandas as pd
from hamilton.function_modifiers import check_output, config, extract_columns, tag


@tag(machine="small")
@extract_columns("id", "age", "children", "pets", "seasons", "service_time", "hours")
def absences(table: pd.DataFrame) -> pd.DataFrame:
    """The table of absences, a row for each, with those that were cancelled left out."""
    return table[table["hours"] > 0]


def age_mean(age: pd.Series) -> float:
    """Mean age over all absences, in years."""
    return float(age.mean())


def age_std(age: pd.Series) -> float:
    """Standard deviation of the age, in years."""
    return float(age.std())


@check_output(range=(-5.0, 5.0), importance="warn")
def age_zero_mean_unit_variance(age: pd.Series, age_mean: float, age_std: float) -> pd.Series:
    """Age, standardised."""
    return (age - age_mean) / age_std


def has_children(children: pd.Series) -> pd.Series:
    """1 with children, 0 without."""
    return (children > 0).astype(int)


def has_pet(pets: pd.Series) -> pd.Series:
    """1 with a pet, 0 without."""
    return (pets > 0).astype(int)


def is_summer(seasons: pd.Series) -> pd.Series:
    """1 in summer, 0 otherwise."""
    return (seasons == 1).astype(int)


@config.when(task="regression")
def target__regression(hours: pd.Series) -> pd.Series:
    """How long somebody is absent, in hours."""
    return hours


@config.when(task="classification")
def target__classification(hours: pd.Series, long_absence: float = 8.0) -> pd.Series:
    """1 where somebody is absent for long."""
    return (hours > long_absence).astype(int)


def features(
    age_zero_mean_unit_variance: pd.Series,
    has_children: pd.Series,
    has_pet: pd.Series,
    is_summer: pd.Series,
    service_time: pd.Series,
    feature_set: list[str],
) -> pd.DataFrame:
    """The features that the run asks for, a column each."""
    columns = [age_zero_mean_unit_variance, has_children, has_pet, is_summer, service_time]
    names = ["age_zero_mean_unit_variance", "has_children", "has_pet", "is_summer", "service_time"]
    return pd.concat(columns, axis=1, keys=names)[feature_set]
