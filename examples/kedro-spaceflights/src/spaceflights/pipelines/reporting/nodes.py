"""Functions of the pipeline `reporting`."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import plotly.express as px
from matplotlib.figure import Figure
from plotly.graph_objects import Figure as InteractiveFigure


def compare_passenger_capacity(shuttles: pd.DataFrame) -> InteractiveFigure:
    """Return a chart of how many passengers the types of shuttles carry."""
    capacity = shuttles.groupby("shuttle_type")["passenger_capacity"].mean().reset_index()
    return px.bar(capacity, x="shuttle_type", y="passenger_capacity")


def plot_prices(table: pd.DataFrame, options: dict[str, str]) -> Figure:
    """Return a picture of how the price depends on one feature."""
    figure, axes = plt.subplots()
    axes.scatter(table[options["feature"]], table["price"], s=4)
    axes.set_xlabel(options["feature"])
    axes.set_ylabel("price")
    plt.close(figure)
    return figure
