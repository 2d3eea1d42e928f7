"""
Federated averaging: six clients train one model of handwritten digits, each on images
that only it has, and what travels is weights.

In each round every client trains further what the last round came to. The first four
that have done so are averaged, by how many images each of them has, and the average
begins the next round. Who comes later does not count: its event is one of a round that
is over. A round begins as a trigger whose function adds the triggers of that round, so
nothing has to know beforehand how many there will be.

What is small is in events; images are in the bucket. It needs scikit-learn here, for the
images, and numpy where the functions run.
"""

import io
import sys
import uuid

import lithops
import numpy as np

from triggerflow_lithops import END, JOIN, THRESHOLD, CallAsync, CloudEvent, Failed, PythonCallable, Succeeded, Triggerflow

ROUNDS = 5
CLIENTS = 6
ENOUGH = 4

STEPS = 50
RATE = 1.0


def train(context, events, storage):
    """One client's part of a round. Lithops gives ``storage`` to a function that asks for it."""
    images, labels = read(storage, context['images'])
    weights = trained(np.array(events[0]['data']['weights']), images, labels)
    return {'weights': weights.tolist(), 'images': len(labels)}


def average(context, events, storage):
    """The model of a round, and its accuracy with images that no client has."""
    updates = [event['data'] for event in events]
    shares = [update['images'] for update in updates]
    weights = np.average([update['weights'] for update in updates], axis=0, weights=shares)
    images, labels = read(storage, context['images'])
    return {'weights': weights.tolist(), 'images': sum(shares), 'accuracy': accuracy(weights, images, labels)}


def begin_round(context, event):
    """Adds the triggers of a round. The event that has begun it is there already, and counts for them."""
    number = context['round']
    model = CloudEvent(event['type'], event['subject'])
    folder = context.workspace['folder']
    names = []
    for turn in range(CLIENTS):
        # Where functions have to queue, the same ones would be late each time
        client = (number + turn) % CLIENTS
        names.append(f'client-{client}-of-round-{number}')
        context.add_trigger(names[-1], model, action=CallAsync(train), context={'images': f'{folder}/{client}'})
    updates = [Succeeded(name) for name in names]
    merged = f'average-{number}'
    context.add_trigger(merged, updates, THRESHOLD(ENOUGH, of=CLIENTS), CallAsync(average), context={'images': f'{folder}/test'})
    # Whoever waits is to hear of it when so many have failed that the others are not enough
    context.add_trigger(f'failed-{number}', [Failed(name) for name in names], JOIN(CLIENTS - ENOUGH + 1), END)
    if number + 1 < ROUNDS:
        following = PythonCallable(begin_round)
        context.add_trigger(f'round-{number + 1}', Succeeded(merged), action=following, context={'round': number + 1})
        context.add_trigger(f'end-{number}', Failed(merged), action=END)
    else:
        context.add_trigger(f'end-{number}', [Succeeded(merged), Failed(merged)], action=END)


# The model: softmax regression


def trained(weights, images, labels, steps=STEPS):
    """``weights`` after some steps of gradient descent."""
    wanted = np.eye(10)[labels]
    for _ in range(steps):
        scores = np.exp(images @ weights)
        weights = weights - RATE * images.T @ (scores / scores.sum(axis=1, keepdims=True) - wanted) / len(labels)
    return weights


def accuracy(weights, images, labels):
    """The share of ``images`` whose digit is found."""
    return float(np.mean(np.argmax(images @ weights, axis=1) == labels))


# The images


def digits():
    """Images with a constant 1 beside their 64 dots, and what they show: of each client, and to test with."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    dots, labels = load_digits(return_X_y=True)
    images = np.hstack([dots / 16, np.ones((len(dots), 1))])
    images, test_images, labels, test_labels = train_test_split(images, labels, test_size=0.25, random_state=0, stratify=labels)
    # The second client has twice as many as the first, and so on
    ends = np.cumsum(range(1, CLIENTS + 1)) * len(labels) // sum(range(1, CLIENTS + 1))
    shards = zip(np.split(images, ends[:-1]), np.split(labels, ends[:-1]), strict=True)
    return {**{str(client): shard for client, shard in enumerate(shards)}, 'test': (test_images, test_labels)}


def write(storage, key, images, labels):
    """Puts images into the bucket."""
    file = io.BytesIO()
    np.savez(file, images=images, labels=labels)
    storage.put_object(storage.bucket, key, file.getvalue())


def read(storage, key):
    """Images from the bucket."""
    found = np.load(io.BytesIO(storage.get_object(storage.bucket, key)))
    return found['images'], found['labels']


def federate(tf):
    """
    Begins the first round, with a model that knows nothing, and waits for the end of the last one.

    :return: what the workspace has ended with
    """
    tf.add_trigger('round-0', CloudEvent('model.given', 'digits'), action=PythonCallable(begin_round), context={'round': 0})
    tf.publish(CloudEvent('model.given', 'digits', data={'weights': np.zeros((65, 10)).tolist()}))
    return tf.wait()


if __name__ == '__main__':
    name = f'digits-{uuid.uuid4().hex[:8]}'
    storage = lithops.Storage()
    data = {f'{name}/{part}': found for part, found in digits().items()}
    tf = Triggerflow(name, context={'folder': name}, log_level='WARNING')
    try:
        for key, (images, labels) in data.items():
            write(storage, key, images, labels)
        failures = [found['error'] for found in federate(tf) if 'error' in found]
        if failures:
            sys.exit(str(failures))
        for number in range(ROUNDS):
            [model] = [run.result() for run in tf.runs(f'average-{number}')]
            print(f'round {number}: accuracy {model["accuracy"]:.3f}, by {model["images"]} images')
    finally:
        tf.delete_workspace()
        storage.delete_objects(storage.bucket, list(data))
