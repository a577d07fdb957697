"""What advice goes by where nothing is known: each default with its reason."""

from __future__ import annotations

from dagforge.frozen import frozen


@frozen
class Assumptions:
    """The constants of the cost model; times in seconds, sizes in bytes.

    Attributes:
        pod_startup: from asking for a pod whose image is there until its first node runs.
        image_pull: how long a pod waits for its image, on average over all pods.
        task_delay: how long a task holds its slot beside its pod's time.
        slots: tasks that may run at once.
        latency: of one dataset, loaded or saved.
        throughput: bytes in a second, loaded or saved.
        dataset_size: of a dataset whose size is not known.
        node_duration: of a node whose duration is not known.
        max_task_minutes: no longer task is proposed.
        task_price: seconds of waiting that one second of a task is worth.
        cpu_price: seconds of waiting that one second of one requested cpu is worth.
        mix_machines: nodes that ask for different machines may share a task.
    """

    pod_startup: float = 10.0
    image_pull: float = 5.0
    task_delay: float = 2.0
    slots: int = 16
    latency: float = 0.2
    throughput: float = 85e6
    dataset_size: float = 10e6
    node_duration: float = 60.0
    max_task_minutes: float = 60.0
    task_price: float = 0.1
    cpu_price: float = 0.1
    mix_machines: bool = False
